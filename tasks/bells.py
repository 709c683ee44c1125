"""Pipes that one process shares with all it forks: bells that it rings, a pulse that it feels."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from weakref import WeakSet

from tasks import processes


class Bell:
    """Rings once, for good, for all that were forked since; its ringer's death rings it too.

    The rope is the ringer's alone: a fork, of whatever kind, lets go of it.
    """

    def __init__(self) -> None:
        self._hear, self._rope = os.pipe()
        _bells.add(self)

    def fileno(self) -> int:
        """Readable once it has rung."""
        return self._hear

    def ring(self) -> None:
        if self._rope >= 0:
            os.close(self._rope)
            self._rope = -1

    def rung(self, *, within: float = 0.0) -> bool:
        """Whether it has rung, or does within so many seconds."""
        return bool(select.select([self._hear], [], [], within)[0])

    def close(self) -> None:
        self.ring()
        os.close(self._hear)


_bells: WeakSet[Bell] = WeakSet()


def _let_go() -> None:
    for bell in list(_bells):
        bell.ring()  # of this process's end; it rings where the last one is let go of


os.register_at_fork(after_in_child=_let_go)


class Pulse:
    """Any forked process may beat; the one that made it knows when one last did."""

    def __init__(self) -> None:
        self._feel, self._beat = os.pipe()
        os.set_blocking(self._feel, False)
        os.set_blocking(self._beat, False)
        self._felt = processes.now()

    def beat(self) -> None:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._beat, b".")

    def last(self) -> float:
        """`processes.now()` of the last beat felt, or of the beginning."""
        with suppress(BlockingIOError):
            while os.read(self._feel, 4096):
                self._felt = processes.now()
        return self._felt

    def close(self) -> None:
        os.close(self._feel)
        os.close(self._beat)
