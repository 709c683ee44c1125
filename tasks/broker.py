"""The broker of django-q2's pool: it hands out bare wake-up tokens; the rows are the queue.

A token names the claiming function and nothing else, so nothing is lost with it, and a late one
costs one query. Tokens are thinned so that about one worker wakes for each due task. Where nothing
is due the pusher, which calls us, sleeps until it hears a wake (`tasks.wakes`) or a moment comes.
"""

from __future__ import annotations

import logging
import signal
import time
import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db import connection
from django.db.models import DurationField, ExpressionWrapper, F, Value
from django.utils import timezone
from django_q.brokers import Broker
from django_q.signing import SignedPackage

from tasks import clock, processes, queue, wakes
from tasks.bells import Bell
from tasks.models import Task
from tasks.states import Status

logger = logging.getLogger(__name__)

POLL_SQLITE = 0.05
LOOK_ANYWAY = 0.25  # SQLite: seconds between looks while nobody writes, for rows becoming due
TOKEN_AGAIN = 0.5  # seconds before a row that still waits gets another token
LOOK_AHEAD = 16
LONGEST_PAUSE = 2.0  # between tries while the database is away

Token = tuple[str, str]


class TokenBroker(Broker):  # type: ignore[misc]  # django-q2 has no types
    """Asks whether a task is due for its queues, and then wakes one worker."""

    def __init__(
        self,
        list_key: str | None = None,
        *,
        queues: Sequence[str] = (),
        name: str = "",
        drain: Bell | None = None,
    ) -> None:
        super().__init__(list_key)
        self.queues = list(queues)
        self.name = name
        self._drain = drain
        self._ear = wakes.new_ear()
        self._woken: dict[object, float] = {}  # row -> when a worker was woken for it
        self._version: int | None = None
        self._looked = 0.0
        self._faults = 0

    @staticmethod
    def get_cache() -> None:
        """No statistics in the cache: the Worker rows tell."""

    def ping(self) -> bool:
        """Called in the sentinel alone, before it forks the pool: SIGTERM to the whole control
        group must not kill workers in mid-attempt; our watcher tells them by their bells."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        processes.name_this("backdrop-sentry")
        return True

    def queue_size(self) -> int:
        return 0

    def lock_size(self) -> int:
        return 0

    def close(self) -> None:
        """Listen no more."""
        self._ear.close()

    def dequeue(self) -> list[Token] | None:
        """One token where a worker is wanted; else None, after a pause."""
        try:
            row, pause = self._look()
            self._faults = 0
        except Exception as error:
            # Raised, it would cost ten seconds and the pusher.
            self._recover(error)
            return None
        if row is None:
            self._rest(pause)
            return None
        self._ear.found()
        self._woken[row] = time.monotonic()
        return [self._token()]

    def _look(self) -> tuple[object | None, float]:
        """A due row for which nobody has been woken lately; else None, and how long to rest."""
        now = time.monotonic()
        self._woken = {row: at for row, at in self._woken.items() if at > now - TOKEN_AGAIN}
        if not self._worth_a_look():
            return None, POLL_SQLITE
        if connection.vendor == "sqlite":
            rows = queue.due(self.queues).values_list("pk", flat=True)[:LOOK_AHEAD]
            return self._unwoken(rows), POLL_SQLITE
        due, coming = self._due_and_coming()
        again = [at + TOKEN_AGAIN - now for at in self._woken.values()]
        return self._unwoken(due), max(0.0, min([wakes.SLOW_SECONDS, *coming, *again]))

    def _unwoken(self, rows: Iterable[object]) -> object | None:
        return next((row for row in rows if row not in self._woken), None)

    def _due_and_coming(self) -> tuple[list[object], list[float]]:
        """Due rows, and in how many seconds the next one will be, by one query."""
        due = queue.due(self.queues).annotate(wait=Value(timedelta(0)))
        wait = ExpressionWrapper(F("run_at") - clock.now(), output_field=DurationField())
        coming = (
            Task.objects.filter(status=Status.QUEUED, queue__in=self.queues)
            .filter(run_at__gt=clock.now(), run_at__lte=clock.now(wakes.SLOW_SECONDS))
            .annotate(wait=wait)
            .order_by("run_at")
        )
        rows = due.values_list("pk", "wait")[:LOOK_AHEAD].union(
            coming.values_list("pk", "wait")[:1], all=True
        )
        found = list(rows)
        return (
            [pk for pk, wait in found if not wait],
            [wait.total_seconds() for _, wait in found if wait],
        )

    def _rest(self, seconds: float) -> None:
        if self._drain is not None and self._drain.rung():
            time.sleep(POLL_SQLITE)  # the pool is about to end, and this process with it
        else:
            self._ear.wait(seconds, self._drain.fileno() if self._drain else -1)

    def _worth_a_look(self) -> bool:
        """Whether anything may have become due since the last look that found nothing."""
        if connection.vendor != "sqlite":
            return True
        now = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            version = cursor.fetchone()[0]
        if version == self._version and now < self._looked + LOOK_ANYWAY and not self._woken:
            return False
        self._version, self._looked = version, now
        return True

    def _recover(self, error: Exception) -> None:
        if not self._faults:
            logger.error("Looking for due tasks failed: %s; going on trying", type(error).__name__)
        self._faults += 1
        self._version = None
        connection.close()
        self._ear.close()
        time.sleep(min(LONGEST_PAUSE, 0.1 * 2 ** min(self._faults, 10)))

    def _token(self) -> Token:
        package = {
            "id": uuid.uuid4().hex,
            "name": "token",
            "func": "tasks.worker.work",
            "args": (self.queues, self.name),
            "kwargs": {},
            "started": timezone.now(),
            "timeout": -1,  # no alarm: attempts have their own limits
        }
        return "", SignedPackage.dumps(package)
