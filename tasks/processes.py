"""What Linux knows of processes: who is who, who belongs to whom, and ties that survive SIGKILL."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36
_tied = False
_parent = 0


def name_this(title: str) -> None:
    """Give this process the name that `ps` and `top` show (15 bytes)."""
    _libc.prctl(_PR_SET_NAME, title.encode()[:15], 0, 0, 0)


def die_with_parent() -> None:
    """SIGKILL to this process when the thread that forked it ends, and so on in every later fork.

    The tie is not inherited, hence the hook. It is lost on exec of a set-user-id program and not
    set in programs started by `subprocess` (no hook runs there): see `child.guard_group`.
    """
    global _tied  # noqa: PLW0603 (hooks can't be taken back: set them once per process tree)
    _tie(os.getppid())
    if not _tied:
        _tied = True
        os.register_at_fork(before=_remember_parent, after_in_child=_tie_to_remembered)


def _remember_parent() -> None:
    global _parent  # noqa: PLW0603 (read by the child right after)
    _parent = os.getpid()


def _tie_to_remembered() -> None:
    _tie(_parent)


def _tie(parent: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the tie was made
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that none gets away."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def now() -> float:
    """Seconds that go on while the machine sleeps: for leases, which others count by the clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def identity(pid: int) -> str:
    """`pid.start`, which no later process of this machine can share; "" where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, started = fields[0], fields[19]
    return "" if state in "ZX" else f"{pid}.{started}"


def is_alive(known: str) -> bool:
    """Whether the process that `identity` told is still there (a zombie isn't)."""
    return bool(known) and identity(int(known.split(".")[0])) == known


def children_of(pid: int) -> list[int]:
    """The direct children, zombies included; [] where the process has gone."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, (thread / "children").read_text().split())
    return found


def descendants_of(pid: int) -> list[int]:
    """Children, grandchildren and so on, parents first."""
    found = children_of(pid)
    for child in found:  # grows while it is walked
        found += children_of(child)
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def kill_tree(pid: int) -> None:
    """SIGKILL to a process and all that descend from it, until none is left to be found.

    Parents are stopped first, so that nothing is started again while it goes on.
    """
    for _ in range(5):
        tree = [pid, *descendants_of(pid)]
        for member in tree:
            kill(member, signal.SIGSTOP)
        for member in tree:
            kill(member)
        if not any(identity(member) for member in tree):
            return
