"""What Linux offers to keep processes together: death signals, subreaping, the table in /proc."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int, number: int) -> None:
    """Have the kernel send this process signal `number` when its parent dies.

    It follows the thread that forked, is lost on a change of user, and is not inherited. `parent`
    is the expected one: where it has died already, the signal comes at once.
    """
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def become_subreaper() -> None:
    """Descendants that lose their parent become this process's children instead of init's."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_orphans(*, except_for: Iterable[int]) -> None:
    """SIGKILL and reap this process's children, other than `except_for`, and all below them.

    Only for a subreaper: what a killed child leaves becomes a child in its turn.
    """
    kept = set(except_for)
    deadline = time.monotonic() + 5
    while (orphans := children(os.getpid()) - kept) and time.monotonic() < deadline:
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in orphans:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def reap_orphans(*, except_for: Iterable[int]) -> None:
    """Let go of orphans that have ended by themselves, so that they don't stay as zombies."""
    for pid in children(os.getpid()) - set(except_for):
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def children(parent: int) -> set[int]:
    """The pids of the direct children of `parent`, ended ones not yet reaped included."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent_of(entry) == parent:
            found.add(int(entry.name))
    return found


def _parent_of(entry: Path) -> int | None:
    try:
        line = (entry / "stat").read_text(errors="replace")
    except OSError:
        return None  # it ended meanwhile
    # The name, in parentheses, may hold anything; what follows it is: state, parent, …
    return int(line.rpartition(")")[2].split()[1])


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
