"""Removing what is old: log lines of tasks that have ended, and those tasks.

In small pieces, so that nobody waits for it. Figures outlive the rows: they are counted as tasks
end (`tasks.tallies`, `tasks.totals`). A task that a row of another app hangs on (a backup, a proof)
stays as long as that row does, with its moves.
"""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from tasks import clock, processes
from tasks.models import Event, Task
from tasks.states import ENDED

logger = logging.getLogger(__name__)

EVENTS_AT_ONCE = 1000
TASKS_AT_ONCE = 100
SECONDS = 10.0  # for each of both; the rest the next time
DAY = 86_400.0


def sweep() -> tuple[int, int]:
    """Remove what is old; how many log lines and how many tasks went."""
    lines = _in_pieces(old_lines(), EVENTS_AT_ONCE) if settings.TASK_EVENTS_DAYS else 0
    tasks = _in_pieces(old_tasks(), TASKS_AT_ONCE) if settings.TASK_KEEP_DAYS else 0
    if lines or tasks:
        logger.info("Removed what was old: %d log lines, %d tasks", lines, tasks)
    return lines, tasks


def old_lines() -> QuerySet[Event]:
    """Log lines, not moves, of tasks that ended so long ago; oldest first."""
    long_ago = clock.now(-settings.TASK_EVENTS_DAYS * DAY)
    lines = Event.objects.filter(kind=Event.Kind.LOG, at__lt=long_ago)
    return lines.filter(task__status__in=ENDED, task__finished_at__lt=long_ago).order_by("at")


def old_tasks() -> QuerySet[Task]:
    """Tasks that ended so long ago and that nothing hangs on; oldest first."""
    long_ago = clock.now(-settings.TASK_KEEP_DAYS * DAY)
    ended = Task.objects.filter(
        status__in=ENDED, finished_at__lt=long_ago, callback_due_at=None
    ).exclude(attempts__undo_due_at__isnull=False)
    return ended.exclude(_needed()).order_by("finished_at")


def _needed() -> Q:
    """Whether a row of another app says what the task was for: one that is to be reached from it.

    Relations without a way back from the task (a notification's, a firing's) don't keep it.
    """
    needed = Q(pk__in=[])
    for relation in Task._meta.related_objects:
        if relation.related_model._meta.app_label != Task._meta.app_label:
            rows = relation.related_model._default_manager
            needed |= Q(Exists(rows.filter(**{relation.field.name: OuterRef("pk")})))
    return needed


def _in_pieces(rows: QuerySet[Any], at_once: int) -> int:
    """Delete them, each piece in a transaction of its own, for some seconds."""
    until, gone = processes.now() + SECONDS, 0
    while processes.now() < until:
        piece = list(rows.values_list("pk", flat=True)[:at_once])
        rows.model._default_manager.filter(pk__in=piece).delete()
        gone += len(piece)
        if len(piece) < at_once:
            break
    return gone
