"""What happens most often, in as few statements as the database allows.

To claim a task and to write down its success are moves like all others, and what they write is
what `tasks.queue` and `tasks.transitions` write (a test compares the rows): here without having
Django put the statements together anew each time, which costs more than to run them. What isn't
plain, like a task that takes turns, is left to them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.db import connection

from tasks import clock
from tasks.models import Task
from tasks.strokes import postgres, sqlite

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

    Due = Callable[..., QuerySet[Task]]

_RETURNING = (3, 35)  # the SQLite that learned it


def can() -> bool:
    """Whether this database takes such statements."""
    if connection.vendor == "sqlite":
        return sqlite3.sqlite_version_info >= _RETURNING
    return connection.vendor == "postgresql"


def take(due: Due, queues: Sequence[str], worker: str) -> tuple[Task | None, bool]:
    """Claim the best due task, if it is plain, and whether one is due at all.

    The task has the fields that its minder needs; others are fetched when they are asked for.
    """
    sql, params = _best(due, tuple(queues), connection.vendor)
    if connection.vendor == "sqlite":
        row, some = sqlite.take(sql, params, worker)
    else:
        row, some = postgres.take(sql, params, worker)
    return (_task(row) if row is not None else None), some


@lru_cache
def _best(due: Due, queues: tuple[str, ...], vendor: str) -> tuple[str, tuple[Any, ...]]:
    """The query for id and key of the best due row; on SQLite with a moment to be replaced."""
    now = sqlite.MOMENT if vendor == "sqlite" else clock.now()
    return due(queues, now=now).values("id", "concurrency_key")[:1].query.sql_with_params()


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
    stored = None if result is None else json.dumps(result)
    if connection.vendor == "sqlite":
        return sqlite.succeed(task_id, attempt, stored, callback)
    return postgres.succeed(task_id, attempt, stored, callback)
