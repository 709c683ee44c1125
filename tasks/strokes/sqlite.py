"""SQLite: a few short statements in one transaction, whose text never changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from tasks import processes, tallies
from tasks.states import Outcome
from tasks.strokes.words import ENDED, STARTED, TABLES, Best

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
"""Stands for now in statements that are kept."""

_TAKE = """
UPDATE {task}
SET status = 'running', attempt = attempt + 1, tries = tries + 1, seq = seq + 1,
    worker = %s, lease_expires_at = %s, started_at = %s, updated_at = %s,
    progress_done = 0, progress_total = NULL, progress_rate = NULL, message = '', error = ''
WHERE id = (SELECT id FROM ({best})) AND concurrency_key = ''
RETURNING id, job, args, attempt, tries, seq, worker, status, team_id, deadline_seconds,
    stall_seconds, concurrency_key, expires_at AS seconds_left
"""
_TRIED = """
INSERT INTO {attempt}
    (task_id, number, worker, host, minder, child, opened, outcome, error, started_at)
VALUES (%s, %s, %s, %s, %s, '', '[]', '', '', %s)
"""
_TOLD = """
INSERT INTO {event} (task_id, seq, at, kind, level, attempt, message, data)
VALUES (%s, %s, %s, 'move', 'info', %s, %s, %s)
"""
_SUCCEED = """
UPDATE {task}
SET status = 'succeeded', seq = seq + 1, updated_at = %s, finished_at = %s,
    lease_expires_at = NULL, result = %s, error = '', crashes = 0, callback_due_at = %s
WHERE id = %s AND status = 'running' AND attempt = %s AND concurrency_key = ''
RETURNING seq, job, subject, started_at
"""
_CLOSED = """
UPDATE {attempt}
SET outcome = 'succeeded', error = '', finished_at = %s,
    undo_due_at = CASE WHEN opened <> '[]' THEN %s END
WHERE task_id = %s AND number = %s
"""
_COUNTED = """
INSERT INTO {tally} (job, subject, status, le, shard, count, seconds)
VALUES (%s, %s, 'succeeded', %s, 0, 1, %s)
ON CONFLICT (job, subject, status, le, shard)
DO UPDATE SET count = count + 1, seconds = seconds + excluded.seconds
"""


def _stored(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


def _read(value: datetime | str) -> datetime:
    """What a column holds; only some releases tell of which type it is."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC)


def _run(cursor: CursorWrapper, sql: str, values: Sequence[Any]) -> None:
    cursor.execute(sql.format(**TABLES), values)


def take(best: Best, worker: str) -> tuple[dict[str, Any] | None, bool]:
    """The columns of the task that is ours now, and whether one is due at all."""
    moment = datetime.now(UTC)
    now, kept = _stored(moment), _stored(MOMENT)
    params = [now if value == kept else value for value in best.params]
    with connection.cursor() as cursor:
        cursor.execute(best.sql, params)  # to find nothing, no lock is needed
        seen = cursor.fetchone()
        if seen is None or seen[1]:
            return None, seen is not None
        with transaction.atomic(savepoint=False):
            lease = _stored(moment + timedelta(seconds=settings.LEASE_SECONDS))
            sql = _TAKE.format(best=best.sql, **TABLES)
            cursor.execute(sql, (worker, lease, now, now, *params))
            names = [column[0] for column in cursor.description]
            found = cursor.fetchall()
            if not found:
                return None, True
            row = dict(zip(names, found[0], strict=True))
            task, attempt = row["id"], row["attempt"]
            place = (processes.place(), processes.own_identity())
            _run(cursor, _TRIED, (task, attempt, worker, *place, now))
            told = f"Started by {worker}"
            _run(cursor, _TOLD, (task, row["seq"], now, attempt, told, STARTED))
    if row["seconds_left"] is not None:
        row["seconds_left"] = (_read(row["seconds_left"]) - moment).total_seconds()
    return {**row, "id": UUID(task)}, True


def succeed(task_id: UUID | str, attempt: int, result: str | None, callback: float | None) -> bool:
    """Whether it was so simple."""
    moment = datetime.now(UTC)
    now, task = _stored(moment), UUID(str(task_id)).hex
    again = None if callback is None else _stored(moment + timedelta(seconds=callback))
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        _run(cursor, _SUCCEED, (now, now, result, again, task, attempt))
        found = cursor.fetchall()
        if not found:
            return False
        seq, job, subject, started = found[0]
        _run(cursor, _CLOSED, (now, now, task, attempt))
        told = f"Attempt {attempt}: {Outcome.SUCCEEDED.label}"
        _run(cursor, _TOLD, (task, seq, now, attempt, told, ENDED))
        seconds = max(0.0, (moment - _read(started)).total_seconds())
        _run(cursor, _COUNTED, (job, subject, tallies.bound_of(seconds), seconds))
    return True


def succeed_and_take(
    task_id: UUID | str, attempt: int, result: str | None, best: Best, worker: str
) -> tuple[bool, dict[str, Any] | None]:
    """`succeed`, and only with it the columns of the next task, where that is a plain one too."""
    with transaction.atomic():
        if not succeed(task_id, attempt, result, None):
            return False, None
        row, _ = take(best, worker)
    return True, row
