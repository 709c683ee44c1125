"""How an attempt ended, in words for people, and writing it down."""

from __future__ import annotations

import logging
import signal
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection

from tasks import forks, processes, transitions
from tasks.lease import DOWN, Hold, Lease
from tasks.models import Task
from tasks.states import Outcome, Status
from tasks.transitions import Along

logger = logging.getLogger(__name__)

WRITE_SECONDS = 60.0  # to go on trying to write an end while the database is away


@dataclass(slots=True)
class End:
    """How the attempt ended, as told by the child or found out by its minder."""

    outcome: Outcome
    error: str = ""
    result: Any = None
    permanent: bool = False
    retry_after: float | None = None
    blameless: bool = False
    """No doing of the task: not a step towards its quarantine."""


def write(
    task: Task,
    lease: Lease,
    end: End,
    progress: dict[str, Any] | None = None,
    *,
    along: Along | None = None,
) -> Status | None:
    """Write down how it ended, trying again while the database is away; the state reached.

    None, and nothing changed, where the task is another's by now. What goes `along` does so where
    the end is a plain success.
    """
    limit = processes.now() + WRITE_SECONDS
    lease.note(**(progress or {}))
    refused = False
    while True:
        try:
            if lease.dirty and not _noted(lease):
                return None
            if end.outcome == Outcome.SUCCEEDED:
                return transitions.succeed(task, end.result, along=along)
            return transitions.finish(
                task.pk,
                task.attempt,
                end.outcome,
                error=end.error,
                result=end.result,
                permanent=end.permanent,
                retry_after=end.retry_after,
                blameless=end.blameless,
            )
        except DOWN as error:
            connection.close()
            if along is not None:
                along.forget()
            logger.warning("Task %s: end not written yet: %s", task.pk, type(error).__name__)
            if processes.now() > limit:
                return None
            forks.wait_for([], settings.HEARTBEAT_SECONDS)
        except DatabaseError as error:
            if refused:  # a fault of ours, or a database of another release: a reaper goes on
                logger.error("Task %s: its end is refused: %s", task.pk, type(error).__name__)
                return None
            refused = True
            told = (
                f"Its end could not be stored ({type(error).__name__}). This is a fault of the job."
            )
            end = End(Outcome.FAILED, told)


def _noted(lease: Lease) -> bool:
    """Whether what the attempt still had to say is written; False where the task is another's.
    Raises OperationalError while the database is away."""
    hold = lease.renew()
    if hold is Hold.UNKNOWN and lease.dirty:
        raise OperationalError
    return hold is not Hold.LOST


def no_renewal() -> str:
    return (
        "The worker could not reach the database to renew its lease, and stopped the attempt. "
        "Look at the database and the network between them."
    )


def too_long(seconds: int) -> str:
    return (
        f"It ran longer than its limit of {seconds} s and was stopped. "
        "Raise the limit, or find out what slows it down."
    )


def out_of_time() -> str:
    return (
        "Its time ran out before it was done, and it was stopped. "
        "Ask for it again, or give it more time."
    )


def stalled(seconds: int) -> str:
    return (
        f"It made no progress for {seconds} s and was stopped. "
        "Find out what it waits for; raise the limit if such waits are normal."
    )


def was_terminated(status: int | None, told: End | None) -> bool:
    """Whether SIGTERM ended the child, which tells of it where it can."""
    return status == -signal.SIGTERM or (told is not None and told.outcome == Outcome.CANCELLED)


def died(status: int | None, told: End | None) -> str:
    if told is not None or status == -signal.SIGTERM:
        return "Its process was told to stop by somebody outside Backdrop (SIGTERM)."
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        hint = " Perhaps the machine ran out of memory: the kernel's log tells."
        return f"Its process was killed ({name}).{hint if status == -signal.SIGKILL else ''}"
    return f"Its process ended with code {status} and no result. The worker's log may tell why."
