"""A worker of the pool: woken by a token, it claims and minds tasks until nothing more is due."""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from tasks import minder, processes, queue
from tasks.bells import Bell, Pulse

logger = logging.getLogger(__name__)

AT_ONCE = 200  # tasks for one token, before the pool gets its say again


@dataclass(slots=True)
class Bells:
    """What the watcher tells its workers (claim no more; give up what runs), and they it."""

    drain: Bell
    stop: Bell
    pulse: Pulse


bells: Bells | None = None  # set before the pool is forked


def settle_in() -> None:
    """Make this process a worker: only its watcher's bells stop it, and its orphans come to it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    processes.name_this("backdrop-worker")
    processes.adopt_orphans()


def work(queues: Sequence[str], name: str) -> None:
    """Claim the best due task and mind its attempt, again and again until none is due.

    This is what a token of the broker calls. It never raises: a fault that isn't the job's is
    logged, and the row, whose lease then runs out, is rescued by a reaper.
    """
    for _ in range(AT_ONCE):
        if bells is not None and bells.drain.rung():
            return
        try:
            if not _work_once(queues, name):
                return
        except Exception:
            logger.exception("Worker %s failed beside its job", name)
            connection.close()
            return


def _work_once(queues: Sequence[str], name: str) -> bool:
    if bells is not None:
        bells.pulse.beat()
    since = processes.now()
    task = queue.claim(queues, name)
    if task is None:
        return False
    minder.mind(task, since=since, stop=bells.stop if bells is not None else None)
    return True
