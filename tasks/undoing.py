"""Undoing what dead attempts had opened outside: multipart uploads, scratch databases, ..."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, NoReturn

from django.db import connections

from tasks import artifacts, clock, processes, registry
from tasks.models import Attempt
from tasks.transitions import UNDO_AGAIN

if TYPE_CHECKING:
    from uuid import UUID

logger = logging.getLogger(__name__)


def main(task_id: UUID | str, number: int) -> NoReturn:
    """In a forked process: undo what that attempt had opened."""
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        processes.name_this("backdrop-undo")
        undo(Attempt.objects.get(task_id=task_id, number=number))
        connections.close_all()
    except BaseException as error:
        logger.error("Task %s: undo failed with %s", task_id, type(error).__name__)
    finally:
        os._exit(0)


def undo(attempt: Attempt) -> bool:
    """Undo the last opened first, forgetting each that is done; False where some are left.

    What is left is tried again later (`reaper.undo_leftovers`), ever more seldom.
    """
    job = registry.get(attempt.task.job)
    left: list[dict[str, str]] = []
    for thing in reversed(attempt.opened):
        try:
            if thing.get("kind") == artifacts.KIND:
                artifacts.undo(thing)
            elif job.undo is not None:
                job.undo(thing)
        except Exception as error:
            logger.warning(
                "Task %s: the %s that attempt %d had opened could not be undone: %s",
                attempt.task_id,
                thing.get("kind", "thing"),
                attempt.number,
                type(error).__name__,
            )
            left.insert(0, thing)
    again = clock.now(_pause(attempt)) if left else None
    Attempt.objects.filter(pk=attempt.pk).update(opened=left, undo_due_at=again)
    return not left


def _pause(attempt: Attempt) -> float:
    """As long again as the attempt has been dead, so that what never works costs little."""
    ended = attempt.finished_at or clock.read()
    return min(3600.0, max(UNDO_AGAIN, (clock.read() - ended).total_seconds()))
