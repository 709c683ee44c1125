"""What a task on a file has brought, for pages: its files, and its JSON as tables."""

from __future__ import annotations

import json
from typing import Any

from django import template

from tasks import clock, registry
from tasks.models import Artifact, Task

register = template.Library()
MOST = 200
"""Lines of a table or list that a page shows; the rest is in the JSON."""


@register.simple_tag
def brought(task: Task) -> list[Artifact]:
    """The files of the attempt that succeeded; `gone` tells those that can't be fetched now."""
    now = clock.read()
    found = list(task.artifacts.filter(attempt=task.attempt).order_by("created_at"))
    for each in found:
        vars(each)["gone"] = each.gone_at is not None or each.expires_at <= now
    return found


@register.filter
def job_title(name: str) -> str:
    """A job as a person calls it; one that a newer release took away keeps its name."""
    return registry.get(name).title if name in registry.names() else name


@register.filter
def label(key: str) -> str:
    """`longest_line` as `Longest line`; what is no such name stays as it is."""
    named = key.replace("_", " ")
    return named[:1].upper() + named[1:] if key.isidentifier() and key.islower() else key


@register.filter
def shape(value: Any) -> str:
    """How a value is shown: `fields`, `table`, `list`, or `plain`."""
    if isinstance(value, dict) and value:
        return "fields"
    if isinstance(value, list) and value:
        return "table" if all(isinstance(each, dict) for each in value) else "list"
    return "plain"


@register.filter
def columns(rows: list[dict[str, Any]]) -> list[str]:
    """All names that any of the rows has, in the order they come up."""
    return list(dict.fromkeys(name for row in rows[:MOST] for name in row))


@register.filter
def cells(row: dict[str, Any], names: list[str]) -> list[Any]:
    return [row.get(name) for name in names]


@register.filter
def first_of(values: list[Any]) -> list[Any]:
    return values[:MOST]


@register.filter
def rest_of(values: list[Any]) -> int:
    """How many of them are not shown."""
    return max(0, len(values) - MOST)


@register.filter
def plain(value: Any) -> str:
    """One value in one line."""
    if value is None or value in ([], {}):
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:,.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@register.filter
def percent_sent(task: Task) -> int:
    """How much of its file has arrived, rounded as live.js does."""
    size = task.upload.size
    return int(round(100 * task.upload.offset / size, 1)) if size else 0
