"""What a program writes to its standard error, within bounds."""

from __future__ import annotations

import os
import select
from typing import IO

_MOST = 16 * 1024


class Complaints:
    """The last words of a program; reading them must never be what blocks it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._kept = bytearray()

    @property
    def text(self) -> str:
        return self._kept.decode(errors="replace")

    def fileno(self) -> int:
        return self._pipe.fileno()

    def read(self) -> bool:
        """Read what there is; call it when there is something. False at the end."""
        found = os.read(self.fileno(), 64 * 1024)
        self._kept += found
        del self._kept[:-_MOST]
        return bool(found)

    def drain(self) -> None:
        """Read all that a program left that has ended."""
        ready = select.poll()
        ready.register(self._pipe, select.POLLIN)
        while ready.poll(0) and self.read():
            pass

    def close(self) -> None:
        self._pipe.close()
