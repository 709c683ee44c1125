"""What an archive says it holds, without unpacking any of it: bombs stay unlit."""

from __future__ import annotations

import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.errors import PermanentError
from tasks.uploads.inputs import Input

LISTED = 1000
MOST_ENTRIES = 1_000_000
MOST_LISTING = 128 << 20
"""Bytes of a zip archive's list of contents."""
BOMB_RATIO = 100
BOMB_BYTES = 1 << 30
_END, _WIDE_END = b"PK\x05\x06", b"PK\x06\x06"
_END_RECORD = struct.Struct("<4s4H2LH")
_WIDE_RECORD = struct.Struct("<4sQ2H2L4Q")
_LONGEST_END = 65_535 + 22 + 20 + 56  # a comment, and the three records before it


def listing(given: Input) -> dict[str, Any] | None:
    """Entries and what they would unpack to; None for what is no archive we read.

    Raises PermanentError for an archive that is broken, or has more entries than can be listed.
    """
    try:
        if given.content_type == "application/zip":
            return _told(_zip(given), given.size)
        if _is_tar(given):
            return _told(_tar(given), given.size)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, ValueError):
        raise PermanentError(
            "The archive is broken: its list of contents can't be read.",
            remedy="Send it again, or make it anew.",
        ) from None
    return None


def _is_tar(given: Input) -> bool:
    """An uncompressed one: to list a compressed one is to unpack it."""
    with given.path.open("rb") as file:
        file.seek(257)
        return file.read(5) == b"ustar"


def _zip(given: Input) -> Iterator[tuple[str, int, bool]]:
    _refuse_many(given.path, given.size)
    with zipfile.ZipFile(given.path) as archive:
        for entry in archive.infolist():
            yield entry.filename, entry.file_size, bool(entry.flag_bits & 1)


def _refuse_many(path: Path, size: int) -> None:
    """Before the list of contents is read, which `zipfile` takes into memory as a whole: by what
    the end record says, and by what it says the list is long (a lie there breaks the reading)."""
    with path.open("rb") as file:
        file.seek(max(0, size - _LONGEST_END))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_RECORD.size:
        return  # broken, as its reader will say
    _, _, _, _, entries, length, _, _ = _END_RECORD.unpack_from(tail, at)
    wide = tail.rfind(_WIDE_END, 0, at)
    if wide >= 0 and len(tail) - wide >= _WIDE_RECORD.size:
        entries, length = _WIDE_RECORD.unpack_from(tail, wide)[-3:-1]
    if entries > MOST_ENTRIES or length > MOST_LISTING:
        raise PermanentError(f"The archive has more than {MOST_ENTRIES} entries.")


def _tar(given: Input) -> Iterator[tuple[str, int, bool]]:
    with tarfile.open(given.path, "r:") as archive:
        for entry in archive:
            yield entry.name, entry.size, False


def _told(entries: Iterator[tuple[str, int, bool]], size: int) -> dict[str, Any]:
    listed: list[dict[str, Any]] = []
    warnings: set[str] = set()
    count = unpacked = 0
    for name, length, encrypted in entries:
        count += 1
        unpacked += length
        if count > MOST_ENTRIES:
            raise PermanentError(f"The archive has more than {MOST_ENTRIES} entries.")
        if len(listed) < LISTED:
            listed.append({"name": name[:500], "size": length})
        if _leaves(name):
            warnings.add("Some names would leave the folder that it is unpacked in.")
        if encrypted:
            warnings.add("Some entries are encrypted.")
    if unpacked > BOMB_BYTES and unpacked > size * BOMB_RATIO:
        warnings.add("It would unpack to more than a hundred times its size: perhaps a bomb.")
    return {
        "entries": count,
        "unpacked_bytes": unpacked,
        "listed": listed,
        "warnings": sorted(warnings),
    }


def _leaves(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or name[1:2] == ":"
