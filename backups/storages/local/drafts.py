"""A file being written that nobody sees under its name before it is whole and on the disk.

Where the file system has nameless files (`O_TMPFILE`) a death leaves nothing at all. Elsewhere a
temporary name is used, which `LocalStore.undo` or `sweep` removes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from backups.storages import keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backups.pipeline.ports import Block

TEMPORARY = re.compile(rf"{re.escape(keys.RESERVED)}[0-9a-f]{{32}}\.part\Z")
"""What a temporary name looks like."""

_FILE_MODE = 0o600
_NO_NAMELESS_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOSYS}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Draft(Protocol):
    """Raises OSError where the file system refuses; FileExistsError where the name is taken."""

    def write(self, block: Block) -> int: ...

    def flush(self) -> int:
        """Have everything on the disk; how many bytes that are."""

    def publish(self, folder: int, name: str) -> None:
        """Give it the name, which must be free; once."""

    def discard(self) -> None:
        """Leave nothing behind but what was published; needed in any case."""


def temporary_name() -> str:
    return f"{keys.RESERVED}{secrets.token_hex(16)}.part"


def has_nameless_files(folder: int) -> bool:
    """Whether a NamelessDraft can be made and published in this folder (an open descriptor)."""
    if not os.path.isdir("/proc/self/fd"):
        return False
    try:
        os.close(_open_nameless(folder))
    except OSError as error:
        if error.errno in _NO_NAMELESS_FILES:
            return False
        raise
    return True


def _open_nameless(folder: int) -> int:
    return os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, _FILE_MODE, dir_fd=folder)


class _OpenFile:
    """What both drafts do with their descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._file = descriptor
        os.fchmod(descriptor, _FILE_MODE)  # whatever the umask says

    def write(self, block: Block) -> int:
        rest = memoryview(block).cast("B")
        size = len(rest)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        return size

    def flush(self) -> int:
        os.fsync(self._file)
        return os.fstat(self._file).st_size


class NamelessDraft(_OpenFile):
    """A file that is in no folder until it is published."""

    def __init__(self, base: int) -> None:
        super().__init__(_open_nameless(base))

    def publish(self, folder: int, name: str) -> None:
        # Only linkat follows the link in /proc, and Python takes it only with a folder given.
        os.link(f"/proc/self/fd/{self._file}", name, dst_dir_fd=folder, follow_symlinks=True)
        _settle(folder, name)

    def discard(self) -> None:
        os.close(self._file)


class NamedDraft(_OpenFile):
    """A file under a temporary name in the base folder; locked, so that a sweep knows it lives."""

    def __init__(self, base: int, name: str) -> None:
        self._base, self._name = base, name
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        super().__init__(os.open(name, flags, _FILE_MODE, dir_fd=base))
        with suppress(OSError):  # a file system without locks
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def publish(self, folder: int, name: str) -> None:
        try:
            os.link(self._name, name, src_dir_fd=self._base, dst_dir_fd=folder)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._rename(folder, name)
        _settle(folder, name)

    def _rename(self, folder: int, name: str) -> None:
        """A rename overwrites: look first, and let no other process of ours in between."""
        with _locked(self._base):
            if exists(folder, name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
            os.rename(self._name, name, src_dir_fd=self._base, dst_dir_fd=folder)

    def discard(self) -> None:
        os.close(self._file)
        with suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._base)


def exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def is_abandoned(folder: int, name: str) -> bool:
    """Whether no process is writing to this temporary file."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        os.close(file)
    return True


def _settle(folder: int, name: str) -> None:
    """Have the folder's new entry on the disk; without that the name goes again."""
    try:
        os.fsync(folder)
    except OSError:
        os.unlink(name, dir_fd=folder)
        raise


@contextmanager
def _locked(folder: int) -> Iterator[None]:
    with suppress(OSError):
        fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_UN)
