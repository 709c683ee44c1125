"""The watcher: keeps a pool of workers and a housekeeper alive, and leaves no process behind.

It never asks the database, so that nothing can keep it from its one duty: a process that died or
hangs is replaced. What only the database can tell (due tasks wait, nothing starts) it hears from
the housekeeper. Everything below dies with it, and what loses its parent becomes its child.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from django.conf import settings

from tasks import forks, housekeeper, processes
from tasks.cluster import Pool
from tasks.housekeeper import Housekeeper
from tasks.slots import Slots

logger = logging.getLogger(__name__)

TICK = 0.5
CLEAN_UP_SECONDS = 9.0  # after the grace: SIGKILL to attempts, undoing, writing their ends
IDLE_STOP_SECONDS = 3.0  # for a pool without attempts to stop in, else it is killed
SHORT_LIFE = 5.0
LONGEST_PAUSE = 2.0


class Watcher:
    """One `runworkers`."""

    def __init__(self, queues: Sequence[str], workers: int) -> None:
        self.queues, self.workers = list(queues), workers
        self.name = own_name()
        self.pools: list[Pool] = []  # one that serves, and those that only end what they run
        self.housekeeper: Housekeeper | None = None
        self.asked_to_stop = 0
        self.stopping_since: float | None = None
        self.draining = False
        self._slots = Slots(workers)
        self._start_at = 0.0
        self._pause = 0.0

    def run(self) -> None:
        """Watch until SIGTERM or SIGINT; a second one hurries."""
        processes.name_this("backdrop-watch")
        processes.tie_forks()
        processes.adopt_orphans()
        self._listen_to_signals()
        while not self._over():
            self._look()
            self._sleep()
        self._leave_nothing()

    # Signals ------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        self._wake, woken = socket.socketpair()
        self._wake.setblocking(False)
        woken.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        self._woken = woken
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._asked)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self.asked_to_stop += 1

    def _sleep(self) -> None:
        forks.wait_for([self._wake.fileno()], TICK)
        with suppress(BlockingIOError):
            self._wake.recv(1024)

    # One look -----------------------------------------------------------------------------------

    def _look(self) -> None:
        if self.asked_to_stop:
            self._stop()
        self._look_at_housekeeper()
        if self.housekeeper is not None and self.housekeeper.drain_asked:
            self._drain()
        for pool in list(self.pools):
            self._look_at(pool)
        self._kill_strays()
        if not self._leaving and processes.now() >= self._start_at:
            self._start_where_none_serves()

    def _start_where_none_serves(self) -> None:
        if any(pool.draining_since is None for pool in self.pools):
            return
        try:
            self.pools.append(Pool(self.queues, self.workers, self.name, self._slots))
        except OSError as error:
            logger.error("No pool could be started: %s", error.strerror)
            self._plan_restart(0.0)

    def _plan_restart(self, lifetime: float) -> None:
        """At once after a long life; ever later where pools die young."""
        self._pause = 0.0 if lifetime > SHORT_LIFE else min(LONGEST_PAUSE, self._pause * 2 or 0.25)
        self._start_at = processes.now() + self._pause

    def _look_at_housekeeper(self) -> None:
        if self.housekeeper is not None and self.housekeeper.lost():
            logger.error("The housekeeper died or hangs; another one is started")
            self.housekeeper.kill()
            self.housekeeper = None
        if self.housekeeper is None:
            with suppress(OSError):
                self.housekeeper = housekeeper.start(self.name, self.queues, self.workers)

    def _look_at(self, pool: Pool) -> None:
        pool.kill_frozen()
        trouble = self._trouble_of(pool) if pool.draining_since is None else ""
        if trouble:
            logger.error("%s; another one is started", trouble)
            self._plan_restart(processes.now() - pool.started)
            pool.drain()
            if self.housekeeper is not None:
                self.housekeeper.call(pool_replaced=True)
        if pool.ended():
            pool.forget()
            self.pools.remove(pool)
        elif pool.draining_since is not None:
            self._see_off(pool)

    def _trouble_of(self, pool: Pool) -> str:
        """Why the pool must be replaced; "" where it is well."""
        if pool.ended():
            return "The pool of workers ended"
        if pool.lost_a_member():
            return "A process of the pool of workers died"
        if self.housekeeper is not None and self.housekeeper.sees_waiting(pool.last_sign()):
            return "Due tasks wait beside idle workers, and none is started: the pool hangs"
        return ""

    def _see_off(self, pool: Pool) -> None:
        """A pool that ends goes on until its attempts have ended; then it must go."""
        late = processes.now() > (pool.draining_since or 0.0) + IDLE_STOP_SECONDS
        if pool.has_been_idle() and late:
            pool.kill()

    def _kill_strays(self) -> None:
        """What became our child because its parent died belongs to nobody any more."""
        ours = {pool.pid for pool in self.pools}
        if self.housekeeper is not None:
            ours.add(self.housekeeper.pid)
        for pid in processes.children_of(os.getpid()):
            if pid not in ours:
                processes.kill(pid)
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    # Stopping -----------------------------------------------------------------------------------

    def _stop(self) -> None:
        now = processes.now()
        if self.stopping_since is None:
            self.stopping_since = now
            logger.info("Stopping: running attempts have %g s", settings.SHUTDOWN_GRACE_SECONDS)
        patience = 0.0 if self.asked_to_stop > 1 else settings.SHUTDOWN_GRACE_SECONDS
        for pool in self.pools:
            pool.drain()
            if now >= self.stopping_since + patience:
                pool.stop()
            if now >= self.stopping_since + patience + CLEAN_UP_SECONDS:
                pool.kill()

    def _drain(self) -> None:
        """Asked for by somebody through the database: end, but only once all that runs has ended,
        however long that takes. SIGTERM still hurries.
        """
        if not self.draining:
            logger.info("Draining: nothing more is claimed; ends once what runs has ended")
        self.draining = True
        for pool in self.pools:
            pool.drain()

    @property
    def _leaving(self) -> bool:
        return self.draining or self.stopping_since is not None

    def _over(self) -> bool:
        return self._leaving and not self.pools

    def _leave_nothing(self) -> None:
        if self.housekeeper is not None:
            self.housekeeper.stop()
        forks.kill_adopted()


def own_name() -> str:
    """Which watcher this is, on all machines and for ever: host:pid:start."""
    return f"{socket.gethostname()}:{processes.own_identity().replace('.', ':')}"
