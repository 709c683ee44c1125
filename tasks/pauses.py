"""Holding back a queue, or a kind of job: nothing of it is started until it is resumed.

    pauses.pause(Pause.Kind.QUEUE, "default", by=user, reason="The disk is being replaced.")
    pauses.resume(Pause.Kind.QUEUE, "default", by=user)

What runs goes on. From the commit of a pause on, nobody claims what it holds back.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError, connection, transaction
from django.db.models import Q

from tasks import wakes
from tasks.conditions import Condition
from tasks.live import nudges
from tasks.models import Pause, Task

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.models import User

logger = logging.getLogger(__name__)

CLAIMS_MS = 1000
BULK = "bulk"  # cancels and retries what a paused queue holds: that pause doesn't hold it back


def pause(kind: Pause.Kind | str, name: str, *, by: User | None, reason: str = "") -> Pause:
    """Hold it back; the pause there is already, unchanged, where it is held back."""
    with transaction.atomic():
        _wait_for_claims()
        made, fresh = Pause.objects.get_or_create(
            kind=kind, name=name, defaults={"by": by, "reason": reason[:200]}
        )
        if fresh:
            _write_down(made, by, ADDITION, f"Paused. {made.reason}".strip())
            nudges.send()
    return made


def resume(kind: Pause.Kind | str, name: str, *, by: User | None) -> bool:
    """Let it go on; False where it wasn't held back."""
    with transaction.atomic():
        known = Pause.objects.select_for_update().filter(kind=kind, name=name).first()
        if known is None:
            return False
        _write_down(known, by, DELETION, "Resumed.")
        known.delete()
        nudges.send()
        wakes.send()
    return True


_NOT_HELD = Condition(
    """({0} NOT IN (SELECT "name" FROM "tasks_pause" WHERE "kind" = 'queue') OR {1} = 'bulk')
    AND {1} NOT IN (SELECT "name" FROM "tasks_pause" WHERE "kind" = 'job')""",
    "queue",
    "job",
)


def not_held() -> Q:
    """Tasks that no pause holds back."""
    return Q(_NOT_HELD)


def without(tasks: QuerySet[Task]) -> QuerySet[Task]:
    """Those of them that no pause holds back."""
    return tasks.filter(not_held())


def over(task: Task, pauses: Iterable[Pause] | None = None) -> Pause | None:
    """What holds the task back, if anything does; of these pauses, where they were read before."""
    for one in Pause.objects.all() if pauses is None else pauses:
        if one.kind == Pause.Kind.QUEUE and task.job == BULK:
            continue
        if one.name == (task.queue if one.kind == Pause.Kind.QUEUE else task.job):
            return one
    return None


def sentence(held: Pause) -> str:
    """For whoever waits."""
    what = (
        f"the queue {held.name}"
        if held.kind == Pause.Kind.QUEUE
        else f"every task of the kind {held.name}"
    )
    why = held.reason.strip().rstrip(".")
    return f"Paused: {what} is held back{f' ({why})' if why else ''}."


def _wait_for_claims() -> None:
    """Let claims under way, which may not see the pause, commit before it does; new ones wait.

    Claims read the table of pauses, so its strongest lock waits for them all. Somebody else may
    read it for long (a dump of this database): then nobody is kept waiting for more than a second.
    """
    if connection.vendor != "postgresql":
        return
    table = connection.ops.quote_name(Pause._meta.db_table)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {CLAIMS_MS}")
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            cursor.execute("SET LOCAL lock_timeout = DEFAULT")
    except OperationalError:
        logger.warning("Claims under way could not be waited for; they may start one task more")


def _write_down(held: Pause, by: User | None, flag: int, message: str) -> None:
    """Into the log, and into the admin's history where a person did it."""
    logger.info("%s: %s (%s)", held, message, by or "the system")
    if by is not None:
        LogEntry.objects.create(
            user_id=by.pk,
            content_type=ContentType.objects.get_for_model(Pause),
            object_id=str(held.pk),
            object_repr=str(held)[:200],
            action_flag=flag,
            change_message=message,
        )
