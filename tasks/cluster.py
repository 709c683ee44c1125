"""The pool of workers: a django-q2 cluster of its own, seen from its watcher's side."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Sequence
from typing import NoReturn

from django.conf import settings
from django.db import connections
from django_q.cluster import Cluster
from django_q.conf import Conf
from django_q.signals import post_spawn

from tasks import memory, processes, worker
from tasks.bells import Bell, Pulse
from tasks.broker import TokenBroker
from tasks.forks import Fork
from tasks.slots import Slots

logger = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
FROZEN_LEASES = 2.5  # that a process may be stopped for before it is killed


class Pool:
    """One cluster: leader -> sentinel -> workers, pusher, monitor; each dies with its parent."""

    def __init__(self, queues: Sequence[str], workers: int, name: str, slots: Slots) -> None:
        self._watched = worker.Watched(drain=Bell(), stop=Bell(), pulse=Pulse(), slots=slots)
        self.started = processes.now()
        self.draining_since: float | None = None
        self._members: set[int] = set()
        self._frozen: dict[int, float] = {}  # process -> when it was first seen stopped
        self._busy_at = self.started
        self._fork = Fork(lambda: lead(queues, workers, name, self._watched))

    @property
    def pid(self) -> int:
        return self._fork.pid

    @property
    def handle(self) -> int | None:
        return self._fork.handle

    def ended(self) -> bool:
        return self._fork.ended()

    def drain(self) -> None:
        """Claim nothing more; end once the running attempts have ended."""
        if self.draining_since is None:
            self.draining_since = processes.now()
            self._watched.drain.ring()
            processes.kill(self.pid, signal.SIGTERM)

    def stop(self) -> None:
        """Give up the running attempts: back into the queue."""
        self.drain()
        self._watched.stop.ring()

    def kill(self) -> None:
        """Leave no process of it behind."""
        processes.kill_tree(self.pid)
        self._fork.wait(1.0)

    def forget(self) -> None:
        self._watched.drain.close()
        self._watched.stop.close()
        self._watched.pulse.close()

    def lost_a_member(self) -> bool:
        """Whether a worker, pusher or monitor has died since the last look.

        None ends by itself before the pool is drained. One that is killed may have held a lock of
        the queue that all share, and then nothing runs ever again: the pool must be replaced.
        """
        self._members |= self._alive(2)
        return not all(processes.identity(pid) for pid in self._members)

    def kill_frozen(self) -> None:
        """Kill what has been stopped for long: whatever it holds, a slot or a lock, nobody else
        gets, and the pool can only be replaced once it is gone.
        """
        now = processes.now()
        stopped = filter(processes.is_stopped, {self.pid, *self._alive(1), *self._alive(2)})
        self._frozen = {pid: self._frozen.get(pid, now) for pid in stopped}
        for pid, since in self._frozen.items():
            if now > since + FROZEN_LEASES * settings.LEASE_SECONDS:
                logger.error("Process %d of the pool is frozen, and is killed", pid)
                processes.kill(pid)

    def last_sign(self) -> float:
        """When a worker of it last looked for work."""
        return self._watched.pulse.last()

    def has_been_idle(self) -> bool:
        """Whether no attempt is running: no worker holds a slot, and none did for a while.

        For a while, because a worker may go from one attempt to the next.
        """
        now = processes.now()
        if self._watched.slots.holders() & self._alive(2):
            self._busy_at = now
        return now > self._busy_at + IDLE_SECONDS

    def _alive(self, depth: int) -> set[int]:
        """The living processes so many forks below the leader."""
        level = [self.pid]
        for _ in range(depth):
            level = [child for parent in level for child in processes.children_of(parent)]
        return {pid for pid in level if processes.identity(pid)}


def lead(queues: Sequence[str], workers: int, name: str, watched: worker.Watched) -> NoReturn:
    """Be the leader of a cluster until its sentinel ends."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    processes.name_this("backdrop-pool")
    worker.watched = watched
    connections.close_all()
    _lie_still()
    post_spawn.connect(_settle_in)
    Conf.WORKERS = workers
    broker = TokenBroker(name, queues=queues, name=name, drain=watched.drain)
    cluster = Cluster(broker=broker)
    cluster.start()
    cluster.sentinel.join()
    os._exit(0)


def _lie_still() -> None:
    """What is there by now is shared by the whole pool: whoever looks for garbage leaves it alone,
    and forks copy little of it."""
    gc.collect()
    gc.freeze()
    memory.gather()


def _settle_in(**_: object) -> None:
    worker.settle_in()
