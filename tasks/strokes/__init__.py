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
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.db import connection

from tasks import clock
from tasks.models import Task
from tasks.strokes import postgres, sqlite
from tasks.strokes.words import Best

if TYPE_CHECKING:
    from datetime import datetime
    from types import ModuleType
    from uuid import UUID

    from django.db.models import QuerySet

    Due = Callable[..., QuerySet[Task]]

_RETURNING = (3, 35)  # the SQLite that learned it


@dataclass(frozen=True, slots=True)
class Wish:
    """Which task to claim, and for whom."""

    due: Due
    queues: Sequence[str]
    worker: str


def can() -> bool:
    """Whether this database takes such statements."""
    if connection.vendor == "sqlite":
        return sqlite3.sqlite_version_info >= _RETURNING
    return connection.vendor == "postgresql"


def can_push() -> bool:
    """Whether there is a shorter way to push a task, too."""
    return can() and connection.vendor == "postgresql"


def push(task: Task, begin: datetime | None, seconds: float | None, told: str) -> None:
    """Insert a task and the first line of its history.

    It may begin then, or at once, by the database's clock; where it has no `expires_at`, its time
    runs out so many seconds later.
    """
    postgres.push(task, begin, seconds, told)


def take(wish: Wish) -> tuple[Task | None, bool]:
    """Claim the best due task, if it is plain, and whether one is due at all.

    The task has the fields that its minder needs; others are fetched when they are asked for.
    """
    best = _best(wish.due, tuple(wish.queues), connection.vendor)
    row, some = _database().take(best, wish.worker)
    return _task(row), some


def _database() -> ModuleType:
    return sqlite if connection.vendor == "sqlite" else postgres


@lru_cache
def _best(due: Due, queues: tuple[str, ...], vendor: str) -> Best:
    """The query for id and key of the best due row; on SQLite with a moment to be replaced."""
    now = sqlite.MOMENT if vendor == "sqlite" else clock.now()
    query = due(queues, now=now).values("id", "concurrency_key")[:1].query
    return Best(*query.sql_with_params())


def _task(row: dict[str, Any] | None) -> Task | None:
    if row is None:
        return None
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
    return bool(_database().succeed(task_id, attempt, _stored(result), callback))


def succeed_and_take(
    task_id: UUID | str, attempt: int, result: Any, wish: Wish
) -> tuple[bool, Task | None]:
    """Both in one commit: the end of an attempt without a callback, and a claim only with it."""
    best = _best(wish.due, tuple(wish.queues), connection.vendor)
    end = (task_id, attempt, _stored(result))
    done, row = _database().succeed_and_take(*end, best, wish.worker)
    return done, _task(row)


def _stored(result: Any) -> str | None:
    return None if result is None else json.dumps(result)
