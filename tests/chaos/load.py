"""The load: a feeder that keeps tasks waiting, and a meter that counts those that have ended."""

from __future__ import annotations

import bisect
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from django.db import connection

from accounts.models import Team
from tasks import queue
from tasks.lease import DOWN
from tasks.models import Task
from tasks.states import ENDED, Status

MIX = (
    *("quick",) * 6,
    *("nap",) * 8,
    *("compute",) * 2,
    *("programs",) * 2,
    *("lend",) * 3,
    *("flaky",) * 2,
    *("keyed",) * 5,
    *("shared",) * 8,
    *("turns",) * 3,
    "doomed",
)
KEYS = {"turns": 2}
"""Kinds that take turns at one key, and how many at once."""
PRIORITIES = (0, 0, 0, 5)
WAITING = 30
TRIES = 25
"""Chaos hits a task now and then; that it must not run out of tries is not what is tested."""

T = TypeVar("T")


def ask(question: Callable[[], T], seconds: float = 60.0) -> T:
    """Ask the database, again and again while it is away."""
    limit = time.monotonic() + seconds
    while True:
        try:
            return question()
        except DOWN:
            connection.close()
            if time.monotonic() > limit:
                raise
            time.sleep(0.1)


class Feeder(threading.Thread):
    """Keeps about so many tasks waiting, mixed the same way at any time."""

    def __init__(self, team: Team, folder: Path, rng: random.Random) -> None:
        super().__init__(name="feeder", daemon=True)
        self.team, self.folder, self.rng = team, folder, rng
        self.ledger = folder / "ledger"
        self.pushed: dict[str, str] = {}
        """Task -> kind, of every push that was answered."""
        self.numbers = 0
        self.failure: BaseException | None = None
        self._block: list[str] = []
        self._enough = threading.Event()

    def run(self) -> None:
        try:
            while not self._enough.is_set():
                waiting = ask(lambda: Task.objects.filter(status=Status.QUEUED).count())
                for _ in range(WAITING - waiting):
                    self.push(self._next())
                time.sleep(0.05)
        except BaseException as error:
            self.failure = error
        finally:
            connection.close()

    def stop(self) -> None:
        self._enough.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def _next(self) -> str:
        if not self._block:
            self._block = list(MIX)
            self.rng.shuffle(self._block)
        return self._block.pop()

    def push(self, kind: str, *, run_at: datetime | None = None, **args: Any) -> str:
        """By a key, so that a push whose answer was lost can be made again."""
        self.numbers += 1
        key = f"chaos-{self.numbers}"
        asked = {
            "ledger": str(self.ledger),
            "folder": str(self.folder),
            "seconds": round(self.rng.uniform(0.3, 0.5), 2),
            **args,
        }
        task = ask(
            lambda: queue.push(
                job=f"chaos-{kind}",
                team=self.team,
                args=asked,
                run_at=run_at,
                max_attempts=TRIES,
                priority=self.rng.choice(PRIORITIES),
                concurrency_key=f"chaos-{kind}" if kind in KEYS else "",
                concurrency_limit=KEYS.get(kind, 1),
                idempotency_key=key,
            )
        )
        if kind != "waits":
            self.pushed[str(task.pk)] = kind
        return str(task.pk)


class Meter(threading.Thread):
    """How many tasks have ended, several times a second."""

    EVERY = 0.2

    def __init__(self) -> None:
        super().__init__(name="meter", daemon=True)
        self._seen: list[tuple[float, int]] = []
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.wait(self.EVERY):
            try:
                count = Task.objects.filter(status__in=ENDED).count()
            except DOWN:
                connection.close()
                continue
            self._seen.append((time.monotonic(), count))
        connection.close()

    def stop(self) -> None:
        self._enough.set()
        self.join()

    def rate(self, begin: float, end: float) -> float | None:
        """Ends a second in that span; None where it hasn't been seen whole yet."""
        seen = list(self._seen)
        before = bisect.bisect_right(seen, begin, key=lambda each: each[0]) - 1
        after = bisect.bisect_left(seen, end, key=lambda each: each[0])
        if before < 0 or after == len(seen):
            return None
        (first, some), (last, more) = seen[before], seen[after]
        return (more - some) / (last - first)

    def back_at(self, since: float, rate: float, window: float) -> float | None:
        """The begin of the first span of that length since then with that rate."""
        for moment, _ in list(self._seen):
            if moment < since:
                continue
            found = self.rate(moment, moment + window)
            if found is not None and found >= rate:
                return moment
        return None
