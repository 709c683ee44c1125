"""Pieces of SQL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Columns = list[tuple[str, str]]
"""Names and types."""


def literal(value: object) -> str:
    """A value as SQL writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def name(column: str) -> str:
    """A column's name as SQL writes it."""
    return '"' + column.replace('"', '""') + '"'


def call(function: str, path: Path, arguments: Mapping[str, object], *more: str) -> str:
    told = [f"{key} = {literal(value)}" for key, value in arguments.items()]
    return f"{function}({', '.join([literal(path), *told, *more])})"
