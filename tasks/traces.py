"""What a job may leave behind in the process that the next one shall use: looked at around each."""

from __future__ import annotations

import gc
import locale
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from django.db import close_old_connections, connections
from django.utils import timezone, translation

from tasks import child, processes

MOST_ATTEMPTS = 1_000
MOST_SECONDS = 3600.0
MOST_GROWTH = 200 * 2**20  # bytes of resident memory above those of the beginning
MOST_FILES = 64  # more than at the beginning

_LOOKS, _PAUSE = 5, 0.01
_SIGNALS = sorted(signal.valid_signals() - {signal.SIGTERM})
_LIMITS = [value for name, value in vars(resource).items() if name.startswith("RLIMIT_")]


def look() -> Mapping[str, Any]:
    """The process's state that all its code shares, by what people call it."""
    umask = os.umask(0)
    os.umask(umask)
    return {
        "working directory": os.getcwd(),
        "umask": umask,
        "environment": dict(os.environ),
        "signal handlers": [signal.getsignal(number) for number in _SIGNALS],
        "blocked signals": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "timer": any(signal.getitimer(timer)[0] for timer in (0, 1, 2)),
        "limits": [resource.getrlimit(limit) for limit in _LIMITS],
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "user": (os.getresuid(), os.getresgid()),
        "group of processes": os.getpgrp(),
        "streams": (id(sys.stdin), id(sys.stdout), id(sys.stderr)),
        "import path": list(sys.path),
        "time limit of sockets": socket.getdefaulttimeout(),
        "locale": locale.setlocale(locale.LC_ALL),
        "hooks": (id(sys.excepthook), sys.gettrace(), sys.getprofile(), gc.isenabled()),
        "threads": (threading.active_count(), len(os.listdir("/proc/self/task"))),
        "processes": set(processes.children_of(os.getpid())) - {child.guard()},
    }


def left(before: Mapping[str, Any]) -> list[str]:
    """What isn't as it was. Threads and processes that are just ending get a moment for it."""
    for _ in range(_LOOKS):
        found = [name for name, now in look().items() if before[name] != now]
        if not found:
            break
        time.sleep(_PAUSE)
    return found


def tidy() -> None:
    """Put back what Django's own requests put back: language, time zone, spoilt connections."""
    translation.deactivate_all()
    timezone.deactivate()
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block or connection.needs_rollback:
            connection.close()
    close_old_connections()


class Wear:
    """How much a process has been used."""

    def __init__(self) -> None:
        self._attempts = 0
        self._since = processes.now()
        self._memory, self._files = _memory(), _files()

    def add(self) -> list[str]:
        """Count one more attempt; for what the process should be replaced by now."""
        self._attempts += 1
        found = {
            "attempts": self._attempts >= MOST_ATTEMPTS,
            "age": processes.now() >= self._since + MOST_SECONDS,
            "memory": _memory() > self._memory + MOST_GROWTH,
            "open files": _files() > self._files + MOST_FILES,
        }
        return [name for name, much in found.items() if much]


def _memory() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _files() -> int:
    return len(os.listdir("/proc/self/fd"))
