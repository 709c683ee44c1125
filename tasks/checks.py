"""What must be there for work to be done now. Apps add their parts; `/statusz` asks them all.

    @checks.part("storage", fresh_for=60)
    def storage() -> str:
        return "Two destinations answer."      # or raise MissingError("It is full.", remedy="…")

A part is asked in a thread of its own and its answer is kept for some seconds, so that one that
hangs costs one thread and holds up nobody, however often the status is asked for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerError
from dataclasses import dataclass
from threading import Lock, Thread

from django.conf import settings
from django.db import connection

from tasks import canaries, crews, pauses
from tasks.crews import alive
from tasks.models import Task, Worker
from tasks.states import Status

logger = logging.getLogger(__name__)

FRESH_SECONDS = 3.0
PATIENCE_SECONDS = 2.5


LOOK = "The log of the process that was asked says why."


class MissingError(Exception):
    """Something isn't there: `sentence` says what, `remedy` what to do."""

    def __init__(self, sentence: str, *, remedy: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How one part stands."""

    ok: bool
    detail: str
    remedy: str = ""

    @property
    def told(self) -> str:
        return f"{self.detail} {self.remedy}".strip()


class Part:
    """One thing that must be there, and what was last found of it."""

    def __init__(self, name: str, check: Callable[[], str], *, fresh_for: float) -> None:
        self.name = name
        self._check = check
        self._fresh_for = fresh_for
        self._lock = Lock()
        self._found: Finding | None = None
        self._found_at = float("-inf")
        self._asked: Future[Finding] | None = None

    def begin(self) -> None:
        """Have it asked, unless that is under way or was done just now."""
        with self._lock:
            fresh = time.monotonic() - self._found_at < self._fresh_for
            if not fresh and self._asked is None:
                self._asked = Future()
                name = f"check-{self.name}"
                Thread(target=self._run, args=[self._asked], name=name, daemon=True).start()

    def finding(self, *, within: float) -> Finding:
        """What is found within so many seconds; the last finding while it isn't too old."""
        with self._lock:
            asked, known = self._asked, self._found
            stale = time.monotonic() - self._found_at > 3 * self._fresh_for
        if asked is None:
            assert known is not None, "begin it first"  # noqa: S101 - ours, not a caller's
            return known
        try:
            return asked.result(timeout=max(0.0, within))
        except NoAnswerError:
            late = Finding(ok=False, detail="It has not answered in time.", remedy=LOOK)
            return late if known is None or stale else known

    def _run(self, asked: Future[Finding]) -> None:
        try:
            finding = Finding(ok=True, detail=self._check())
        except MissingError as error:
            finding = Finding(ok=False, detail=error.sentence, remedy=error.remedy)
        except Exception as error:  # of whatever kind: without its words, which may name secrets
            logger.warning("The check of %s failed: %s", self.name, type(error).__name__)
            finding = Finding(ok=False, detail="It could not be asked.", remedy=LOOK)
        finally:
            connection.close()
        with self._lock:
            self._found, self._found_at, self._asked = finding, time.monotonic(), None
        asked.set_result(finding)


_parts: dict[str, Part] = {}


def part(
    name: str, *, fresh_for: float = FRESH_SECONDS
) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Add a part to be asked; in the order in which they were added."""

    def register(check: Callable[[], str]) -> Callable[[], str]:
        _parts[name] = Part(name, check, fresh_for=fresh_for)
        return check

    return register


def findings(*more: Part) -> dict[str, Finding]:
    """How every part stands, after PATIENCE_SECONDS at most; `more` are this process's own."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    parts = (*_parts.values(), *more)
    for one in parts:
        one.begin()
    return {one.name: one.finding(within=deadline - time.monotonic()) for one in parts}


@part("database")
def database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return f"{connection.display_name} answers."


@part("workers")
def workers() -> str:
    """Every queue in which something waits needs a worker, and so does the default one; and what
    is sent through a queue must come back.
    """
    there = list(alive().filter(kind=Worker.Kind.WORKER))
    served = {queue for crew in there for queue in crew.queues}
    asked = canaries.hidden(Task.objects.filter(status=Status.QUEUED))
    queued = pauses.without(asked).order_by()
    waiting = queued.values_list("queue", flat=True).distinct()
    for queue in sorted({settings.QUEUE, *waiting}):
        if queue not in served:
            raise MissingError(
                f"No worker serves the queue {queue!r}.",
                remedy="Start one: manage.py runworkers",
            )
    for queue, canary in canaries.standings(crews.slots(there)).items():
        if canary.late:
            raise MissingError(
                f"The queue {queue!r} stands still: a canary sent through it {canary.age:.0f} s "
                "ago has not come back, although workers are free.",
                remedy="Look at the workers' log, and restart them.",
            )
    capacity = sum(crew.capacity for crew in there)
    return f"{len(there)} running, {capacity} attempts at once."


@part("daemon")
def daemon() -> str:
    running = alive().filter(kind=Worker.Kind.DAEMON).count()
    if not running:
        raise MissingError("No daemon is running.", remedy="Start one: manage.py rundaemon")
    return f"{running} running."


def is_alive(worker: Worker) -> bool:
    """Whether its heartbeat is fresh, by the database's clock."""
    return alive().filter(pk=worker.pk).exists()
