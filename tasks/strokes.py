"""What happens most often, in one statement each, where the database can do that (PostgreSQL).

To claim a task and to write down its success are moves like all others, and what they write is
what `tasks.queue` and `tasks.transitions` write (a test compares the rows). Here the task, its
attempt, its event and the tally change in a single statement: one way to the server and back
instead of sixteen, one commit. What isn't plain is left to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from tasks import processes
from tasks.models import Attempt, Event, Tally, Task
from tasks.states import Outcome, Status
from tasks.tallies import BOUNDS, INFINITE

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

    Due = Callable[[Sequence[str]], QuerySet[Task]]

_TABLES = {
    "task": Task._meta.db_table,
    "attempt": Attempt._meta.db_table,
    "event": Event._meta.db_table,
    "tally": Tally._meta.db_table,
}
_NOW = "statement_timestamp()"
_STARTED = json.dumps({"from": Status.QUEUED, "to": Status.RUNNING})
_ENDED = json.dumps({"from": Status.RUNNING, "to": Status.SUCCEEDED})

_TAKE = """
WITH best AS MATERIALIZED ({best}),
taken AS (
    UPDATE {task} AS t
    SET status = 'running', attempt = t.attempt + 1, tries = t.tries + 1, seq = t.seq + 1,
        worker = %s, lease_expires_at = {now} + make_interval(secs => %s),
        started_at = {now}, updated_at = {now}, progress_done = 0, progress_total = NULL,
        progress_rate = NULL, message = '', error = ''
    FROM best WHERE t.id = best.id AND t.concurrency_key = ''
    RETURNING t.id, t.job, t.args, t.attempt, t.tries, t.seq, t.worker, t.status, t.team_id,
        t.deadline_seconds, t.stall_seconds, t.expires_at, t.concurrency_key,
        extract(epoch FROM t.expires_at - {now})::float8 AS seconds_left
), tried AS (
    INSERT INTO {attempt}
        (task_id, number, worker, host, minder, child, opened, outcome, error, started_at)
    SELECT id, attempt, worker, %s, %s, '', '[]', '', '', {now} FROM taken
), told AS (
    INSERT INTO {event} (task_id, seq, at, kind, level, attempt, message, data)
    SELECT id, seq, {now}, 'move', 'info', attempt, %s, %s::jsonb FROM taken
)
SELECT taken.* FROM best LEFT JOIN taken ON taken.id = best.id
"""

_SUCCEED = """
WITH moved AS (
    UPDATE {task}
    SET status = 'succeeded', seq = seq + 1, updated_at = {now}, finished_at = {now},
        lease_expires_at = NULL, result = %s::jsonb, error = '', crashes = 0,
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
    SELECT id, seq, {now}, 'move', 'info', attempt, %s, %s::jsonb FROM moved
), counted AS (
    INSERT INTO {tally} AS known (job, subject, status, le, count, seconds)
    SELECT job, subject, 'succeeded', CASE {bounds} END, 1, seconds FROM moved
    ON CONFLICT (job, subject, status, le)
    DO UPDATE SET count = known.count + 1, seconds = known.seconds + excluded.seconds
)
SELECT count(*) FROM moved
"""
_BOUNDS = " ".join(
    f"WHEN seconds <= {bound:g} THEN '{bound:g}'" for bound in BOUNDS if bound != INFINITE
)


def can() -> bool:
    """Whether this database takes such statements."""
    return connection.vendor == "postgresql"


def take(due: Due, queues: Sequence[str], worker: str) -> tuple[Task | None, bool]:
    """Claim the best due task, if it is plain, and whether one is due at all.

    The task has the fields that its minder needs; others are fetched when they are asked for.
    """
    best, params = _best(due, tuple(queues))
    sql = _TAKE.format(best=best, now=_NOW, **_TABLES)
    place = (processes.place(), processes.own_identity())
    values = (worker, settings.LEASE_SECONDS, *place, f"Started by {worker}", _STARTED)
    with connection.cursor() as cursor:
        cursor.execute(sql, (*params, *values))
        names = [column[0] for column in cursor.description]
        row = cursor.fetchone()
    if row is None or row[0] is None:
        return None, row is not None
    return _task(dict(zip(names, row, strict=True))), True


@lru_cache
def _best(due: Due, queues: tuple[str, ...]) -> tuple[str, tuple[Any, ...]]:
    """The query for the best due row, locked. To compile it costs more than to run it."""
    sql, params = due(queues).values("id")[:1].query.sql_with_params()
    return f"{sql} FOR UPDATE SKIP LOCKED", params


def _task(row: dict[str, Any]) -> Task:
    seconds_left = row.pop("seconds_left")
    row["args"] = json.loads(row["args"])
    names = [field.attname for field in Task._meta.concrete_fields if field.attname in row]
    task = Task.from_db(connection.alias, names, [row[name] for name in names])
    task.seconds_left = seconds_left
    return task


def succeed(task_id: UUID | str, attempt: int, result: Any, *, callback: float | None) -> bool:
    """End an attempt and its task well; False, and nothing changed, where it isn't that simple.

    `callback`: seconds until `Job.ended` is called again, where there is one.
    """
    sql = _SUCCEED.format(bounds=_BOUNDS, now=_NOW, **_TABLES)
    stored = None if result is None else json.dumps(result)
    told = f"Attempt {attempt}: {Outcome.SUCCEEDED.label}"
    with connection.cursor() as cursor:
        cursor.execute(sql, (stored, callback, str(task_id), attempt, told, _ENDED))
        return bool(cursor.fetchone()[0])
