"""PostgreSQL: the task, its attempt, its event and the tally change in a single statement. That is
one way to the server and back instead of sixteen, and one commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from tasks import processes, tallies
from tasks.states import Outcome
from tasks.strokes.words import ENDED, STARTED, TABLES
from tasks.tallies import BOUNDS, INFINITE

if TYPE_CHECKING:
    from uuid import UUID

_NOW = "statement_timestamp()"
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
    INSERT INTO {tally} AS known (job, subject, status, le, shard, count, seconds)
    SELECT job, subject, 'succeeded', CASE {bounds} END, %s, 1, seconds FROM moved
    ON CONFLICT (job, subject, status, le, shard)
    DO UPDATE SET count = known.count + 1, seconds = known.seconds + excluded.seconds
)
SELECT count(*) FROM moved
"""
_BOUNDS = " ".join(
    f"WHEN seconds <= {bound:g} THEN '{bound:g}'" for bound in BOUNDS if bound != INFINITE
)


def take(best: str, params: Sequence[Any], worker: str) -> tuple[dict[str, Any] | None, bool]:
    """The columns of the task that is ours now, and whether one is due at all."""
    sql = _TAKE.format(best=f"{best} FOR UPDATE SKIP LOCKED", now=_NOW, **TABLES)
    place = (processes.place(), processes.own_identity())
    values = (worker, settings.LEASE_SECONDS, *place, f"Started by {worker}", STARTED)
    with connection.cursor() as cursor:
        cursor.execute(sql, (*params, *values))
        row = cursor.fetchone()
        names = [column[0] for column in cursor.description]
    if row is None or row[0] is None:
        return None, row is not None
    return dict(zip(names, row, strict=True)), True


def succeed(task_id: UUID | str, attempt: int, result: str | None, callback: float | None) -> bool:
    """Whether it was so simple."""
    sql = _SUCCEED.format(bounds=_BOUNDS, now=_NOW, **TABLES)
    told = f"Attempt {attempt}: {Outcome.SUCCEEDED.label}"
    with connection.cursor() as cursor:
        values = (result, callback, str(task_id), attempt, told, ENDED, tallies.shard())
        cursor.execute(sql, values)
        return bool(cursor.fetchone()[0])
