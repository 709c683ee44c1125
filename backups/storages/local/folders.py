"""Folders by descriptor, step by step and never through a symbolic link; and what their file
systems refuse, said in sentences."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from backups.pipeline.errors import StorageError

_FOLDER_MODE = 0o700
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

# errno: what is so, what to do, whether trying again can't help
_FAULTS = {
    errno.ENOSPC: ("is full", "Free space there or choose another folder.", False),
    errno.EDQUOT: ("is over its quota", "Free space there or have the quota raised.", False),
    errno.EFBIG: (
        "does not take a file this large",
        "Choose a file system that does, or raise the limit on file sizes (ulimit -f).",
        True,
    ),
    errno.EACCES: ("is closed to Backdrop", "", True),
    errno.EPERM: ("is closed to Backdrop", "", True),
    errno.EROFS: ("is read-only", "Mount it writable or choose another folder.", True),
    errno.ENOENT: ("is missing", "Create the folder, or mount what belongs there.", True),
    errno.ENOTDIR: ("is not a folder", "Choose a folder.", True),
    errno.ELOOP: ("leads elsewhere by a symbolic link", "Put a folder in the link's place.", True),
    errno.EXDEV: (
        "has another file system mounted inside",
        "Make a destination of the folder that is mounted there.",
        True,
    ),
    errno.EIO: ("can't be read or written", "Look at the disk: it reports faults.", False),
    errno.ESTALE: ("was unmounted meanwhile", "Mount it again.", False),
}


@contextmanager
def told(place: str) -> Iterator[None]:
    """Turn what the operating system refuses into a StorageError that names the place."""
    try:
        yield
    except OSError as error:
        raise explained(error, place) from error


def explained(error: OSError, place: str) -> StorageError:
    """A sentence for that refusal, and its remedy."""
    number = error.errno or 0
    what, remedy, permanent = _FAULTS.get(
        number, (f"could not be used: {os.strerror(number)}", "Look at the file system.", False)
    )
    if number in (errno.EACCES, errno.EPERM):
        remedy = f"Let the user with the number {os.geteuid()} read and write there."
    return StorageError(f"{place} {what}.", remedy=remedy, permanent=permanent)


def open_base(path: str) -> int:
    """A descriptor of the folder. It is never made: a missing one may be a disk that is not
    mounted, and its backups would fill the disk below."""
    return os.open(path, _OPEN)


@contextmanager
def inside(base: int, segments: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder below `base`; FileNotFoundError where it is missing."""
    folder = os.dup(base)
    try:
        for segment in segments:
            if make:
                _make(folder, segment)
            deeper = os.open(segment, _OPEN | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = deeper
        yield folder
    finally:
        os.close(folder)


def _make(folder: int, name: str) -> None:
    try:
        os.mkdir(name, _FOLDER_MODE, dir_fd=folder)
    except FileExistsError:
        return
    os.fsync(folder)


def prune(base: int, segments: Sequence[str]) -> None:
    """Remove the folder and those above it, up to `base`, as far as they are empty."""
    for depth in range(len(segments) - 1, -1, -1):
        try:
            with inside(base, segments[:depth]) as folder:
                os.rmdir(segments[depth], dir_fd=folder)
        except OSError:  # not empty, or already gone
            return


def files(folder: int, path: str = "", *, beginning: str = "") -> Iterator[tuple[str, int]]:
    """Path and size of every file in and below the folder whose path begins so."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = path + entry.name
        if entry.is_dir(follow_symlinks=False):
            if f"{name}/".startswith(beginning[: len(name) + 1]):
                yield from _files_below(folder, entry.name, f"{name}/", beginning)
        elif entry.is_file(follow_symlinks=False) and name.startswith(beginning):
            try:
                yield name, entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:  # removed meanwhile
                continue


def _files_below(folder: int, name: str, path: str, beginning: str) -> Iterator[tuple[str, int]]:
    try:
        with inside(folder, [name]) as deeper:
            yield from files(deeper, path, beginning=beginning)
    except FileNotFoundError:  # removed meanwhile
        return
