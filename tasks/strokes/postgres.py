"""PostgreSQL: the task, its attempt, its event and the tally change in a single statement. That is
one way to the server and back instead of sixteen, and one commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from tasks import processes, tallies
from tasks.models import Task
from tasks.states import Outcome
from tasks.strokes.prepared import Statement, literal, run
from tasks.strokes.words import ENDED, STARTED, TABLES, Best
from tasks.tallies import BOUNDS, INFINITE

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from django.db.models import Field

_NOW = "statement_timestamp()"
_TAKING = """
best AS MATERIALIZED ({best} FOR UPDATE SKIP LOCKED),
taken AS (
    UPDATE {task} AS t
    SET status = 'running', attempt = t.attempt + 1, tries = t.tries + 1, seq = t.seq + 1,
        worker = %s, lease_expires_at = {now} + make_interval(secs => %s),
        started_at = {now}, updated_at = {now}, progress_done = 0, progress_total = NULL,
        progress_rate = NULL, message = '', error = ''
    FROM best WHERE t.id = best.id AND t.concurrency_key = '' {only_if}
    RETURNING t.id, t.job, t.args, t.attempt, t.tries, t.seq, t.worker, t.status, t.team_id,
        t.deadline_seconds, t.stall_seconds, t.expires_at, t.concurrency_key,
        extract(epoch FROM t.expires_at - {now})::float8 AS seconds_left
), tried AS (
    INSERT INTO {attempt}
        (task_id, number, worker, host, minder, child, opened, outcome, error, started_at)
    SELECT id, attempt, worker, %s, %s, '', '[]', '', '', {now} FROM taken
), begun AS (
    INSERT INTO {event} (task_id, seq, at, kind, level, attempt, message, data)
    SELECT id, seq, {now}, 'move', 'info', attempt, 'Started by ' || worker, '{started}' FROM taken
)
"""
_SUCCEEDING = """
moved AS (
    UPDATE {task}
    SET status = 'succeeded', seq = seq + 1, updated_at = {now}, finished_at = {now},
        lease_expires_at = NULL, result = %s, error = '', crashes = 0,
        callback_due_at = {now} + make_interval(secs => %s)
    WHERE id = %s AND status = 'running' AND attempt = %s AND concurrency_key = ''
    RETURNING id, seq, attempt, job, subject,
        greatest(0, extract(epoch FROM {now} - started_at))::float8 AS seconds
), closed AS (
    UPDATE {attempt} AS a
    SET outcome = 'succeeded', error = '', finished_at = {now},
        undo_due_at = CASE WHEN a.opened <> '[]' THEN {now} END
    FROM moved WHERE a.task_id = moved.id AND a.number = moved.attempt
), told AS (
    INSERT INTO {event} (task_id, seq, at, kind, level, attempt, message, data)
    SELECT id, seq, {now}, 'move', 'info', attempt, 'Attempt ' || attempt || ': {succeeded}',
        '{ended}'
    FROM moved
), counted AS (
    INSERT INTO {tally} AS known (job, subject, status, le, shard, count, seconds)
    SELECT job, subject, 'succeeded', CASE {bounds} END, %s, 1, seconds FROM moved
    ON CONFLICT (job, subject, status, le, shard)
    DO UPDATE SET count = known.count + 1, seconds = known.seconds + excluded.seconds
)
"""
_TAKEN = """
SELECT {what} taken.* FROM (SELECT) AS always
    LEFT JOIN best ON true LEFT JOIN taken ON taken.id = best.id
"""
_BOUNDS = " ".join(
    f"WHEN seconds <= {bound:g} THEN '{bound:g}'" for bound in BOUNDS if bound != INFINITE
)


_PUSH = """
WITH pushed AS (
    INSERT INTO {task} ({columns}) VALUES ({places})
    RETURNING id, seq, status, run_at, expires_at, created_at, updated_at
), told AS (
    INSERT INTO {event} (task_id, seq, at, kind, level, attempt, message, data)
    SELECT id, seq, {now}, 'move', 'info', 0, %s, jsonb_build_object('to', status) FROM pushed
)
SELECT run_at, expires_at, created_at, updated_at FROM pushed
"""
_PLACES: Mapping[str | None, str] = {
    "run_at": f"coalesce(%s, {_NOW})",
    "expires_at": f"coalesce(%s, coalesce(%s, {_NOW}) + make_interval(secs => %s))",
    "created_at": _NOW,
    "updated_at": _NOW,
}
"""What stands for a column of a new task, where that isn't just its value."""
_WORDS = {
    **TABLES,
    "now": _NOW,
    "bounds": _BOUNDS,
    "started": STARTED,
    "ended": ENDED,
    "succeeded": Outcome.SUCCEEDED.label,
}
Row = dict[str, Any]


def _statement(*parts: str, last: str, **words: str) -> Statement:
    return Statement(f"WITH {','.join(parts)}{last}".format(**_WORDS, **words))


@cache
def _to_take(best: Best) -> Statement:
    last = _TAKEN.replace("{what}", "best.id,")
    return _statement(_TAKING, last=last, best=literal(*best), only_if="")


@cache
def _to_succeed() -> Statement:
    return _statement(_SUCCEEDING, last="SELECT count(*) FROM moved")


@cache
def _to_succeed_and_take(best: Best) -> Statement:
    last = _TAKEN.replace("{what}", "(SELECT count(*) FROM moved),")
    only_if = "AND EXISTS (SELECT FROM moved)"
    return _statement(_SUCCEEDING, _TAKING, last=last, best=literal(*best), only_if=only_if)


def _run(statement: Statement, values: Sequence[Any]) -> tuple[Any, Row | None]:
    """The first value of the only row, and the task among the others by their names."""
    with connection.cursor() as cursor:
        run(cursor, statement, values)
        first, *others = cursor.fetchone()
        names = [column[0] for column in cursor.description[1:]]
    row = dict(zip(names, others, strict=True))
    return first, row if row.get("id") is not None else None


@cache
def _to_push() -> tuple[Statement, Sequence[Field[Any, Any]]]:
    """The statement, and the fields whose values it wants; `expires_at` wants two more."""
    fields = Task._meta.local_concrete_fields
    places = [_PLACES.get(field.column, "%s") for field in fields]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    sql = _PUSH.format(**_WORDS, columns=columns, places=", ".join(places))
    valued = [field for field, place in zip(fields, places, strict=True) if "%s" in place]
    return Statement(sql), valued


def push(task: Task, begin: datetime | None, seconds: float | None, told: str) -> None:
    """Insert a task, to begin now where nothing else is said, and to end so many seconds later."""
    task.run_at = begin  # type: ignore[assignment]  # the database's clock says it
    statement, fields = _to_push()
    values: list[Any] = []
    for field in fields:
        values.append(field.get_db_prep_save(getattr(task, field.attname), connection))
        if field.attname == "expires_at":
            values += (begin, seconds)
    with connection.cursor() as cursor:
        run(cursor, statement, (*values, told))
        row = cursor.fetchone()
    task.run_at, task.expires_at, task.created_at, task.updated_at = row
    task._state.adding, task._state.db = False, connection.alias


def _by(worker: str) -> tuple[Any, ...]:
    return worker, settings.LEASE_SECONDS, processes.place(), processes.own_identity()


def take(best: Best, worker: str) -> tuple[Row | None, bool]:
    """The columns of the task that is ours now, and whether one is due at all."""
    due, row = _run(_to_take(best), _by(worker))
    return row, due is not None


def succeed(task_id: UUID | str, attempt: int, result: str | None, callback: float | None) -> bool:
    """Whether it was so simple."""
    values = (result, callback, str(task_id), attempt, tallies.shard())
    done, _ = _run(_to_succeed(), values)
    return bool(done)


def succeed_and_take(
    task_id: UUID | str, attempt: int, result: str | None, best: Best, worker: str
) -> tuple[bool, Row | None]:
    """`succeed`, and only with it the columns of the next task, where that is a plain one too."""
    values = (result, None, str(task_id), attempt, tallies.shard(), *_by(worker))
    done, row = _run(_to_succeed_and_take(best), values)
    return bool(done), row
