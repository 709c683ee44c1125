"""Keeps a scratch server from filling the disk: it is stopped while there is still room."""

from __future__ import annotations

import shutil
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from backups.pipeline.errors import RestoreError

if TYPE_CHECKING:
    from backups.pipeline.postgres.scratch import ScratchPostgres

LEFT = 0.5
"""Of what was free at first; the rest is for others."""
_SECONDS = 0.5


class Room:
    """Watches the disk as long as its context; `check` tells whether the server was stopped."""

    def __init__(self, server: ScratchPostgres) -> None:
        self._server = server
        self._floor = int(self._free() * LEFT)
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._stopped = False

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._watcher.join()

    def check(self) -> None:
        if self._stopped:
            raise RestoreError(
                "The dump made more data than this machine has room for, and was stopped.",
                remedy="Make room on the disk of the workers, or look what the dump does.",
                permanent=True,
            )

    def _free(self) -> int:
        return shutil.disk_usage(self._server.folder).free

    def _watch(self) -> None:
        while not self._over.wait(_SECONDS):
            if self._free() < self._floor:
                self._stopped = True
                self._server.stop(immediate=True)
                return
