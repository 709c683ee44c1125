"""Slots: at most so many attempts at once on behalf of one watcher, whatever pools it has.

While a pool is replaced, attempts of the old one go on beside the new one's. A slot is a lock on a
byte of a file in memory: the kernel gives it back when its holder dies.
"""

from __future__ import annotations

import fcntl
import os
import struct

_LOCK = struct.Struct("@hhqqi4x")  # struct flock: type, whence, start, length, pid


class Slots:
    """Shared by all processes forked after it was made; a fork holds no slot of its parent's."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._file = os.memfd_create("slots")

    def take(self) -> int | None:
        """A slot that nobody holds; None where there is none."""
        for slot in range(self._count):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
            except OSError:
                continue
            return slot
        return None

    def holders(self) -> set[int]:
        """The processes that hold a slot, seen by one that holds none."""
        found = set()
        for slot in range(self._count):
            asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, slot, 1, 0)
            kind, _, _, _, pid = _LOCK.unpack(fcntl.fcntl(self._file, fcntl.F_GETLK, asked))
            if kind != fcntl.F_UNLCK:
                found.add(pid)
        return found

    def give_back(self, slot: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, slot)
