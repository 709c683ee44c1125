"""What Linux knows of processes: who is who, who belongs to whom, and ties that survive SIGKILL."""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import socket
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import UUID

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36
_tied = _hooked = False
_parent = 0
_adopter = 0


def name_this(title: str) -> None:
    """Give this process the name that `ps` and `top` show (15 bytes)."""
    _libc.prctl(_PR_SET_NAME, title.encode()[:15], 0, 0, 0)


def title_of(task_id: UUID | str) -> str:
    """What the process of an attempt is called: others find it by that, and people in `top`."""
    return f"job-{str(task_id).replace('-', '')[:11]}"


def title(pid: int) -> str:
    """The name that a process bears; "" where there is none."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def tie_forks() -> None:
    """From now on every fork, and forks of forks, gets SIGKILL when the thread that forked it ends.

    The kernel's tie is not inherited, hence the hook. Programs started by `subprocess` aren't tied
    (no hook runs there, and threads end early): see `child.guard_group`.
    """
    global _tied, _hooked  # noqa: PLW0603 (hooks can't be taken back: set them once)
    _tied = True
    if not _hooked:
        _hooked = True
        os.register_at_fork(before=_remember_parent, after_in_child=_tie_to_remembered)


def untie_forks() -> None:
    """Let this process's own forks live on when the thread that forked them ends."""
    global _tied  # noqa: PLW0603 (as above)
    _tied = False


def _remember_parent() -> None:
    global _parent  # noqa: PLW0603 (read by the child right after)
    _parent = os.getpid()


def _tie_to_remembered() -> None:
    if not _tied:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != _parent:  # it died before the tie was made
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that none gets away."""
    global _adopter  # noqa: PLW0603 (a fork of ours is none)
    _adopter = os.getpid()
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def adopts_orphans() -> bool:
    return _adopter == os.getpid()


def now() -> float:
    """Seconds that go on while the machine sleeps: for leases, which others count by the clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def place() -> str:
    """This machine since it booted, and our view of its process ids: where an `identity` is valid.

    A host's name alone isn't enough: containers may share it and still not see each other.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        view = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        boot, view = secrets.token_hex(8), str(os.getpid())
    return f"{socket.gethostname()}/{boot[:8]}/{view}"


def identity(pid: int) -> str:
    """`pid.start`, which no later process of this machine can share; "" where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, started = fields[0], fields[19]
    return "" if state in "ZX" else f"{pid}.{started}"


def is_stopped(pid: int) -> bool:
    """Whether it was frozen, by SIGSTOP or the like."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return False


@cache
def _identity(pid: int) -> str:
    return identity(pid)


def own_identity() -> str:
    return _identity(os.getpid())


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


def kill_group(group: int, number: int = signal.SIGKILL) -> bool:
    """Whether there was such a group."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


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
