"""A task's history as people read it: numbered lines, from some level on."""

from __future__ import annotations

from django.db.models import QuerySet

from tasks.models import Event, Task

LEVELS = {"debug": "Everything", "info": "Info", "warning": "Warnings", "error": "Errors"}


def at_least(events: QuerySet[Event], level: str) -> QuerySet[Event]:
    """Those of that level and above; all for a level that isn't known."""
    names = list(LEVELS)
    lower = names[: names.index(level)] if level in LEVELS else []
    return events.exclude(level__in=lower) if lower else events


def lines(task: Task, level: str = "") -> QuerySet[Event]:
    """What there is to read, the oldest first."""
    return at_least(task.events.exclude(message=""), level).order_by("seq")
