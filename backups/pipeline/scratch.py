"""Throwaway servers, each in a temporary folder of its own, whatever their engine."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from backups.pipeline import unprivileged

PREFIX = "backdrop-scratch-"
DATA = "data"
"""The folder in a scratch folder that its server works in: so its processes are found."""
_STOP_SECONDS = 10
_REMOVE_TRIES = 5
_SOCKET_PATH_MOST = 90  # the kernel takes 107 bytes, of which the file name needs 17


class ScratchServer(ABC):
    """A server that lives as long as its context, or the thread that started it.

    Only its account and root can enter its folder. As root the server runs as an unprivileged
    account. `opened` is told the folder before it is used and `closed` when it is gone, so that
    `remove` can clean up after a killed process.
    """

    def __init__(
        self,
        *,
        parent: Path | None,
        opened: Callable[[str], None] | None,
        closed: Callable[[str], None] | None,
    ) -> None:
        self.account = unprivileged.account()
        self.folder: Path
        self._parent = parent
        self._opened = opened
        self._closed = closed
        self._lock: int | None = None

    @abstractmethod
    def begin(self) -> None:
        """Make the server in `folder`, its data in the part of it called DATA, and start it."""

    @abstractmethod
    def stop(self, *, immediate: bool = True) -> None:
        """Stop the server; `immediate` drops connections without a word, as a crash would."""

    def __enter__(self) -> Self:
        self._make_folder()
        try:
            if self._opened:
                self._opened(str(self.folder))
            self.begin()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Stop the server and remove everything it had. Idempotent."""
        if self._lock is None:
            return
        self.stop(immediate=True)
        remove(self.folder)
        os.close(self._lock)
        self._lock = None
        if self._closed:
            self._closed(str(self.folder))

    def _make_folder(self) -> None:
        """The lock says that the folder has an owner who lives; see `sweep`."""
        parent = self._parent or temporary(self.account)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        if self.account:
            os.chown(self.folder, *self.account)
        made = self.folder / "lock.new"  # renamed when it is held, so that no sweep comes between
        self._lock = os.open(made, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        made.rename(self.folder / "lock")


def free_bytes(folder: Path | None = None) -> int:
    """Room for a scratch server there (default: where one is made unless told otherwise)."""
    return shutil.disk_usage(folder or temporary(unprivileged.account())).free


def remove(folder: str | Path) -> None:
    """End the server of that folder, if it runs, and remove the folder. Idempotent."""
    folder = Path(folder)
    if not folder.name.startswith(PREFIX):
        raise ValueError(f"{folder} is not a scratch server's folder.")
    # Every engine's server takes SIGQUIT as the order to end without waiting for its sessions.
    for deadly in (signal.SIGQUIT, signal.SIGKILL):
        _signal(servers_of(folder), deadly)
        deadline = time.monotonic() + _STOP_SECONDS
        while servers_of(folder) and time.monotonic() < deadline:
            time.sleep(0.02)
    for _ in range(_REMOVE_TRIES):  # a process that is dying may still make a file
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.1)


def sweep(parent: Path | None = None) -> int:
    """Remove the scratch folders whose owner is dead; returns how many."""
    swept = 0
    for folder in (parent or temporary(unprivileged.account())).glob(f"{PREFIX}*"):
        if not _is_locked(folder):
            remove(folder)
            swept += 1
    return swept


def servers_of(folder: Path) -> dict[int, int]:
    """The processes that work in its data folder, each with its parent. No file says which they
    are: a stale one may name another process."""
    data = folder / DATA
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == data:
                found[int(entry.name)] = _parent_of(entry)
    return found


def _parent_of(entry: Path) -> int:
    """The field after the state, which stands after the name in brackets."""
    return int((entry / "stat").read_text().rpartition(")")[2].split()[1])


def _signal(servers: dict[int, int], number: int) -> None:
    """To the first process of each; the others are its own to end."""
    for pid, parent in servers.items():
        if parent not in servers:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _is_locked(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # another user's, or so new that it has no lock yet
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def temporary(account: unprivileged.Account | None) -> Path:
    """The temporary folder, or one of the usual ones where that account can't enter it or where
    a socket's path in it would be too long."""
    chosen = Path(tempfile.gettempdir()).resolve()
    for folder in (chosen, Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        short = len(str(folder)) + len(PREFIX) + 9 <= _SOCKET_PATH_MOST
        if short and (account is None or unprivileged.can_enter(folder, account)):
            return folder
    return chosen
