"""What the supervisor asks of Linux beyond `tasks.processes`: death signals, and orphans ended."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterable
from contextlib import suppress

from tasks import processes

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int, number: int) -> None:
    """Have the kernel send this process signal `number` when its parent dies.

    It follows the thread that forked, is lost on a change of user, and is not inherited. `parent`
    is the expected one: where it has died already, the signal comes at once.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl refused a death signal")
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def kill_orphans(*, except_for: Iterable[int]) -> None:
    """SIGKILL and reap this process's children, other than `except_for`, and all below them.

    Only for who adopts orphans: what a killed child leaves becomes a child in its turn.
    """
    kept = set(except_for)
    deadline = time.monotonic() + 5
    while (orphans := set(processes.children_of(os.getpid())) - kept) and (
        time.monotonic() < deadline
    ):
        for pid in orphans:
            processes.kill(pid)
        _reap(orphans, 0)


def reap_orphans(*, except_for: Iterable[int]) -> None:
    """Let go of orphans that have ended by themselves, so that they don't stay as zombies."""
    _reap(set(processes.children_of(os.getpid())) - set(except_for), os.WNOHANG)


def _reap(pids: Iterable[int], options: int) -> None:
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, options)
