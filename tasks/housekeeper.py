"""What a watcher has done in the database, in a process that may hang without harm: its heartbeat
row, the reaper, and the question whether due tasks wait although workers are free."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from django.db import connection

from tasks import clock, forks, processes, queue, reaper
from tasks.models import Attempt, Worker

logger = logging.getLogger(__name__)

TICK = 1.0
SELDOM = 3.0
HEARTBEAT = 2.0
STALL_SECONDS = 4.0  # that tasks wait beside free workers, none of which looks for work
SILENT_SECONDS = 60.0  # without a word, as when a call of the database hangs
ROW_DAYS = 1.0

_NOTHING_WAITS, _SOME_WAIT = b".", b"!"


class Housekeeper:
    """The watcher's end."""

    def __init__(self, fork: forks.Fork, hear: int) -> None:
        self._fork, self._hear = fork, hear
        self._heard = processes.now()
        self._waiting_since: float | None = None

    @property
    def pid(self) -> int:
        return self._fork.pid

    def lost(self) -> bool:
        self._listen()
        return self._fork.ended() or processes.now() > self._heard + SILENT_SECONDS

    def sees_waiting(self, last_sign: float) -> bool:
        """Whether tasks have waited beside free workers too long since that last sign of life."""
        if self._waiting_since is None:
            return False
        return self._heard > max(self._waiting_since, last_sign) + STALL_SECONDS

    def _listen(self) -> None:
        with suppress(BlockingIOError):
            while said := os.read(self._hear, 1024):
                self._heard = processes.now()
                if said[-1:] == _NOTHING_WAITS:
                    self._waiting_since = None
                elif self._waiting_since is None:
                    self._waiting_since = self._heard

    def stop(self) -> None:
        self._fork.terminate()
        if not self._fork.wait(3.0):
            self._fork.kill()
            self._fork.wait(1.0)
        os.close(self._hear)

    def kill(self) -> None:
        self._fork.kill()
        self._fork.wait(1.0)
        os.close(self._hear)


def start(name: str, queues: Sequence[str], workers: int) -> Housekeeper:
    hear, say = os.pipe()
    os.set_blocking(hear, False)
    os.set_blocking(say, False)
    try:
        fork = forks.Fork(lambda: keep_house(name, queues, workers, say))
    finally:
        os.close(say)
    return Housekeeper(fork, hear)


class _StopError(BaseException):
    pass


def _stop(number: int, frame: FrameType | None) -> None:
    raise _StopError


def keep_house(name: str, queues: Sequence[str], workers: int, say: int) -> NoReturn:
    """Tick until told to stop; then the Worker row goes too."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    processes.name_this("backdrop-house")
    presence = Presence(name, Worker.Kind.WORKER, queues, workers)
    watchdog = Watchdog(name, queues, workers)
    leftovers = reaper.Leftovers()
    seldom = 0.0
    try:
        while True:
            guarded(presence.tell, reaper.reap)
            if processes.now() >= seldom:
                seldom = processes.now() + SELDOM
                guarded(reaper.call_callbacks, leftovers.look)
            waiting = guarded(watchdog.look)
            with suppress(BlockingIOError):
                os.write(say, _SOME_WAIT if waiting else _NOTHING_WAITS)
            forks.wait_for([], TICK)
    except _StopError:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        guarded(presence.end)
    finally:
        os._exit(0)


_failing: set[str] = set()


def guarded(*chores: Callable[[], object]) -> object:
    """Do chores, each for itself: one that fails is logged, once, and done again the next time.

    The last one's result; None where it failed.
    """
    result: object = None
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


class Presence:
    """The Worker row of this watcher or daemon."""

    def __init__(
        self, name: str, kind: Worker.Kind, queues: Sequence[str] = (), capacity: int = 0
    ) -> None:
        self.name = name
        self._row = {
            "kind": kind,
            "host": socket.gethostname(),
            "pid": int(name.split(":")[-2]),
            "queues": list(queues),
            "capacity": capacity,
        }
        self._told = 0.0

    def tell(self) -> None:
        """Refresh the heartbeat, where it is time to."""
        if processes.now() < self._told + HEARTBEAT:
            return
        mine = Worker.objects.filter(name=self.name)
        if not mine.update(heartbeat_at=clock.now()):
            Worker.objects.create(name=self.name, heartbeat_at=clock.now(), **self._row)
            old = clock.now(-ROW_DAYS * 24 * 3600)
            Worker.objects.filter(heartbeat_at__lt=old).delete()
        self._told = processes.now()

    def end(self) -> None:
        Worker.objects.filter(name=self.name).delete()


class Watchdog:
    """Sees from outside that due tasks wait although workers of this watcher are free."""

    def __init__(self, name: str, queues: Sequence[str], workers: int) -> None:
        self._name, self._queues, self._workers = name, queues, workers

    def look(self) -> bool:
        if not queue.due(self._queues).exists():
            return False
        running = Attempt.objects.filter(host=processes.place(), outcome="", worker=self._name)
        return running.count() < self._workers
