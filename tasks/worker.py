"""A worker of the pool: woken by a token, it claims and minds tasks until nothing more is due."""

from __future__ import annotations

import gc
import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError, connection

from tasks import forks, minder, processes, queue, strokes, transitions
from tasks.bells import Bell, Pulse
from tasks.models import Attempt
from tasks.slots import Slots
from tasks.states import Outcome

if TYPE_CHECKING:
    from tasks.models import Task
    from tasks.strokes import Wish

logger = logging.getLogger(__name__)

AT_ONCE = 20  # times that a token claims, before the pool gets its say again
ALONG = 20  # tasks that come with the ends of others, for each of these


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What ties workers to their watcher."""

    drain: Bell
    """Claim nothing more."""
    stop: Bell
    """Give up what is running."""
    pulse: Pulse
    """A worker looked for work."""
    slots: Slots
    """One for each attempt."""


watched: Watched | None = None  # set before the pool is forked; None in tests of one process


def settle_in() -> None:
    """Make this process a worker: only its watcher's bells stop it, and its orphans come to it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    processes.name_this("backdrop-worker")
    processes.adopt_orphans()
    gc.freeze()  # what has come since the pool's leader did so


def work(queues: Sequence[str], name: str) -> None:
    """Claim the best due task and mind its attempt, again and again until none is due.

    This is what a token of the broker calls. It never raises: a fault that isn't the job's is
    logged, and the row, whose lease then runs out, is rescued by a reaper.
    """
    try:
        for _ in range(AT_ONCE):
            if not _work_in_slot(queues, name):
                return
    except Exception as error:
        logger.error("Worker %s failed beside its job: %s", name, type(error).__name__)
        connection.close()
        give_back_own()


def give_back_own() -> None:
    """Put back, uncounted, what is ours by the database and not by what we know: a claim whose
    answer was lost. Called while we mind nothing; should it fail for as long as a lease lasts, a
    reaper has the tasks.
    """
    ours = {"host": processes.place(), "minder": processes.own_identity(), "outcome": ""}
    limit = processes.now() + settings.LEASE_SECONDS
    while processes.now() < limit:
        try:
            for task_id, number in Attempt.objects.filter(**ours).values_list("task_id", "number"):
                transitions.finish(task_id, number, Outcome.INTERRUPTED)
            return
        except DatabaseError as error:
            logger.warning("What was claimed can't be given back yet: %s", type(error).__name__)
            connection.close()
            forks.wait_for([], settings.HEARTBEAT_SECONDS)


def _work_in_slot(queues: Sequence[str], name: str) -> bool:
    """Whether there was work, and a slot to do it in."""
    if watched is None:
        return _work(queues, name)
    watched.pulse.beat()
    if watched.drain.rung():
        return False
    slot = watched.slots.take()
    if slot is None:
        return False
    try:
        return _work(queues, name, watched)
    finally:
        watched.slots.give_back(slot)


def _work(queues: Sequence[str], name: str, by: Watched | None = None) -> bool:
    """Mind the best due task, and those claimed along with the ends of others; was there one?"""
    claims = Claims(queues, name, by)
    task = claims.first()
    found = task is not None
    stop, drain = (by.stop, by.drain) if by is not None else (None, None)
    try:
        while task is not None:
            minder.mind(task, since=claims.since, stop=stop, drain=drain, claims=claims)
            task = claims.taken()
    finally:
        if claims.doubtful:
            give_back_own()
        claims.give_back()
    return found


class Claims:
    """Claims for one worker, the next one together with the end of the one before: that is one
    commit, and one wait for the disk, instead of two.
    """

    def __init__(self, queues: Sequence[str], name: str, by: Watched | None) -> None:
        self.since = 0.0
        """`processes.now()` of before the last claim."""
        self._queues, self._name, self._by = queues, name, by
        self._left = ALONG
        self._next: Task | None = None
        self.doubtful = False
        """A claim may have come through though we were told that it didn't."""

    def first(self) -> Task | None:
        self.since = processes.now()
        return queue.claim(self._queues, self._name)

    def wish(self) -> Wish | None:
        """The next one, to be claimed in the transaction that ends an attempt of ours."""
        self._next = None
        if not strokes.can() or (self._by is not None and self._by.drain.rung()):
            return None
        if self._left <= 0:
            return None
        self.since = processes.now()
        return queue.wish(self._queues, self._name)

    def take(self, task: Task | None) -> None:
        """That was claimed along."""
        self._next = task

    def forget(self) -> None:
        """What was claimed along has been rolled back, or so it seems."""
        self._next = None
        self.doubtful = True

    def give_back(self) -> None:
        """What was claimed along and will not be minded, as something went wrong beside it."""
        if self._next is not None:
            transitions.finish(self._next.pk, self._next.attempt, Outcome.INTERRUPTED)

    def taken(self) -> Task | None:
        """What was claimed along, once."""
        task, self._next = self._next, None
        if task is not None:
            self._left -= 1
            if self._by is not None:
                self._by.pulse.beat()
        return task
