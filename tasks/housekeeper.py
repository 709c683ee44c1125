"""What a watcher has done in the database, in a process that may hang without harm: its heartbeat
row, what is seen to for all machines or for this one, and the question whether due tasks wait
although workers are free."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn, TypeVar

from django.db import connection

from tasks import forks, processes, reaper, totals
from tasks.models import Attempt, Worker
from tasks.presence import Presence
from tasks.upkeep import NOTHING, Sight, Upkeep

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

TICK = 1.0
STALL_SECONDS = 4.0  # that tasks wait beside free workers, none of which looks for work
SILENT_SECONDS = 60.0  # without a word, as when a call of the database hangs
FROZEN_SECONDS = 6.0  # without a beat, which no call of the database can keep from coming

_NOTHING_WAITS, _SOME_WAIT = b".", b"!"
_DRAIN = b"d"  # before one of these
_BEAT = b"b"
_LOOK, _POOL_REPLACED = b"!", b"p"  # said by the watcher


class Housekeeper:
    """The watcher's end."""

    def __init__(self, fork: forks.Fork, line: socket.socket) -> None:
        self._fork, self._line = fork, line
        self._heard = self._beaten = processes.now()
        self._waiting_since: float | None = None
        self.drain_asked = False

    @property
    def pid(self) -> int:
        return self._fork.pid

    def lost(self) -> bool:
        self._listen()
        now = processes.now()
        silent = now > self._heard + SILENT_SECONDS or now > self._beaten + FROZEN_SECONDS
        return self._fork.ended() or silent

    def call(self, *, pool_replaced: bool = False) -> None:
        """Have it look now: somebody has died, and may have left something to be rescued."""
        with suppress(OSError):
            self._line.send(_POOL_REPLACED if pool_replaced else _LOOK)

    def sees_waiting(self, last_sign: float) -> bool:
        """Whether tasks have waited beside free workers too long since that last sign of life."""
        if self._waiting_since is None:
            return False
        return self._heard > max(self._waiting_since, last_sign) + STALL_SECONDS

    def _listen(self) -> None:
        with suppress(BlockingIOError):
            while heard := self._line.recv(1024):
                self._beaten = processes.now()
                said = heard.replace(_BEAT, b"")
                if not said:
                    continue
                self._heard = self._beaten
                self.drain_asked = self.drain_asked or _DRAIN in said
                if said[-1:] == _NOTHING_WAITS:
                    self._waiting_since = None
                elif self._waiting_since is None:
                    self._waiting_since = self._heard

    def stop(self) -> None:
        self._fork.terminate()
        if not self._fork.wait(3.0):
            self._fork.kill()
            self._fork.wait(1.0)
        self._line.close()

    def kill(self) -> None:
        self._fork.kill()
        self._fork.wait(1.0)
        self._line.close()


def start(name: str, queues: Sequence[str], workers: int) -> Housekeeper:
    ours, theirs = _line()
    try:
        fork = forks.Fork(lambda: keep_house(name, queues, workers, theirs))
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return Housekeeper(fork, ours)


def _line() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


class _StopError(BaseException):
    pass


def _stop(number: int, frame: FrameType | None) -> None:
    raise _StopError


def keep_house(name: str, queues: Sequence[str], workers: int, line: socket.socket) -> NoReturn:
    """Tick, each second or when called, until told to stop; then the Worker row goes too."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    processes.name_this("backdrop-house")
    threading.Thread(target=_beat, args=(line,), name="beat", daemon=True).start()
    chores = Chores(name, queues, workers)
    try:
        while True:
            waiting = chores.do()
            with suppress(BlockingIOError):
                told = _SOME_WAIT if waiting else _NOTHING_WAITS
                line.send(_DRAIN + told if chores.drain_asked else told)
            forks.wait_for([line.fileno()], TICK)
            with suppress(BlockingIOError):
                chores.pools_replaced += line.recv(1024).count(_POOL_REPLACED)
    except _StopError:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        guarded(chores.presence.end)
    finally:
        os._exit(0)


def _beat(line: socket.socket) -> None:
    """Tell the watcher, whatever the chores wait for, that this process isn't frozen."""
    while True:
        with suppress(BlockingIOError):
            line.send(_BEAT)
        time.sleep(TICK)


_failing: set[str] = set()


def guarded(*chores: Callable[[], Result]) -> Result | None:
    """Do chores, each for itself: one that fails is logged, once, and done again the next time.

    The last one's result; None where it failed.
    """
    result: Result | None = None
    for chore in chores:
        name = f"{chore.__module__}.{chore.__qualname__}"
        try:
            result = chore()
            _failing.discard(name)
        except Exception as error:
            if name not in _failing:
                logger.warning("%s failed: %s", name, type(error).__name__)
            _failing.add(name)
            connection.close()
            result = None
    return result


class Chores:
    """What a housekeeper does in one tick: what one look finds to be done, and nothing else."""

    def __init__(self, name: str, queues: Sequence[str], workers: int) -> None:
        self._workers = workers
        self.presence = Presence(name, Worker.Kind.WORKER, queues, workers)
        self._leftovers = reaper.Leftovers(queues)
        self._upkeep = Upkeep(self.presence, leftovers=self._leftovers)
        self.drain_asked = False
        self.pools_replaced = 0  # and not counted yet

    def do(self) -> bool:
        """All of it; whether due tasks wait although workers of this watcher are free."""
        sight = see(self._upkeep, self.presence)
        guarded(*tend(sight))
        self.drain_asked = self.drain_asked or sight.drain
        if self.pools_replaced:
            guarded(self._count_pools)
        if sight.left or self._leftovers.busy:
            guarded(self._leftovers.look)
        return bool(sight.waiting and guarded(self._some_are_free))

    def _count_pools(self) -> None:
        totals.add(totals.POOL, socket.gethostname(), count=self.pools_replaced)
        self.pools_replaced = 0

    def _some_are_free(self) -> bool:
        running = Attempt.objects.filter(
            host=processes.place(), outcome="", worker=self.presence.name
        )
        return running.count() < self._workers


def see(upkeep: Upkeep, presence: Presence) -> Sight:
    """A look, and a sign of life even where that fails."""
    sight = guarded(upkeep.look)
    if sight is None:
        guarded(presence.tell_now)
    return sight or NOTHING


def tend(sight: Sight) -> list[Callable[[], object]]:
    """What is to be done by workers' housekeepers and daemons alike."""
    here = [reaper.reap_here] if sight.here else []
    return [*here, *(duty.act for duty in sight.late)]
