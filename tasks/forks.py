"""A forked process from its parent's side: starting, watching, stopping it, all of it."""

from __future__ import annotations

import logging
import math
import os
import select
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from django.db import connection, connections

from tasks import processes

logger = logging.getLogger(__name__)

_parked: list[Any] = []


class Fork:
    """A child process that leads a process group of its own."""

    def __init__(self, role: Callable[[], NoReturn]) -> None:
        """Fork; the child does `role`, which must not return. OSError where there is no room."""
        with _connection_parked():
            self.pid = os.fork()
            if self.pid == 0:
                _play(role)
        self.status: int | None = None
        self.handle: int | None = None
        with suppress(OSError):  # refused in some sandboxes; then only the polling sees the end
            self.handle = os.pidfd_open(self.pid)

    def ended(self) -> bool:
        """Whether it has ended. What is left of its group is then killed before its id is free."""
        if self.status is not None:
            return True
        seen = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if seen is None:
            return False
        self.kill()
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None
        return True

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.status is not None:
            return
        if not processes.kill_group(self.pid, number):  # it appears a moment after the fork
            processes.kill(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """Wait for its end for so long; whether it has come."""
        limit = processes.now() + seconds
        while not self.ended():
            left = limit - processes.now()
            if left <= 0:
                return False
            wait_for([self.handle] if self.handle is not None else [], min(left, 0.05))
        return True


def _play(role: Callable[[], NoReturn]) -> NoReturn:
    """Do it, and whatever happens never return into the parent's code."""
    try:
        role()
    except BaseException as error:
        logger.error("A forked process failed with %s", type(error).__name__)
    finally:
        os._exit(70)


def wait_for(handles: Iterable[int], seconds: float) -> set[int]:
    """The handles that have something to read, after so many seconds at the latest."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    return {handle for handle, _ in poll.poll(max(0, math.ceil(seconds * 1000)))}


def kill_adopted(*, spare: int = 0) -> None:
    """Kill the descendants that left their group and became ours when their parent died."""
    if not processes.adopts_orphans():
        return
    for _ in range(50):
        left = [pid for pid in processes.children_of(os.getpid()) if pid != spare]
        if not left:
            return
        for pid in left:
            processes.kill(pid)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        wait_for([], 0.01)
    logger.error("Processes %s don't end although they were killed.", left)


@contextmanager
def _connection_parked() -> Iterator[None]:
    """Let no database connection cross a fork.

    SQLite's must be closed. A server's may wait here: the child forgets it without closing it
    (which would end the parent's session), and the parent goes on with it.
    """
    if connection.vendor == "sqlite" or connection.connection is None:
        connections.close_all()
        yield
        return
    parent, session = os.getpid(), connection.connection
    connection.connection = None
    _parked.append(session)
    try:
        yield
    finally:
        if os.getpid() == parent:
            _parked.remove(session)
            connection.connection = session
