"""The table of database engines. A new one is a package of its own, and a row here."""

from __future__ import annotations

from collections.abc import Mapping

from backups.pipeline.engine import Engine
from backups.pipeline.errors import PipelineError, RestoreError
from backups.pipeline.mysql.engine import MysqlEngine
from backups.pipeline.postgres.engine import PostgresEngine

_ROWS: tuple[Engine, ...] = (PostgresEngine(), MysqlEngine())

ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in _ROWS}
USUAL = _ROWS[0].name
"""What is meant where nobody chooses."""


def choices() -> list[tuple[str, str]]:
    """Names and labels, for fields; looked up anew each time, so that no migration holds them."""
    return [(engine.name, engine.label) for engine in ENGINES.values()]


def get(name: str) -> Engine:
    """The engine that a database or a manifest names."""
    if name not in ENGINES:
        raise PipelineError(
            f"This Backdrop knows no database engine {name}.",
            remedy=f"It knows {', '.join(ENGINES)}; a later version may know more.",
            permanent=True,
        )
    return ENGINES[name]


def refuse_other(backup: str, server: str) -> None:
    """Raise RestoreError unless a dump of the one engine can be loaded into the other."""
    if backup != server:
        raise RestoreError(
            f"A backup of {get(backup).label} can't be restored into {get(server).label}.",
            remedy="Choose a server of the same kind.",
            permanent=True,
        )
