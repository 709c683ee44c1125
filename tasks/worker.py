"""A worker of the pool: woken by a token, it claims and minds tasks until nothing more is due."""

from __future__ import annotations

import gc
import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from tasks import minder, processes, queue
from tasks.bells import Bell, Pulse
from tasks.slots import Slots

logger = logging.getLogger(__name__)

AT_ONCE = 200  # tasks for one token, before the pool gets its say again


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
    # What is there by now stays: forks that look for garbage need no copies of its pages.
    gc.collect()
    gc.freeze()


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
        return _work(queues, name, watched.stop, watched.drain)
    finally:
        watched.slots.give_back(slot)


def _work(
    queues: Sequence[str], name: str, stop: Bell | None = None, drain: Bell | None = None
) -> bool:
    since = processes.now()
    task = queue.claim(queues, name)
    if task is not None:
        minder.mind(task, since=since, stop=stop, drain=drain)
    return task is not None
