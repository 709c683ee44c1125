"""The Worker row of a watcher or daemon: whoever keeps it fresh is alive, for all to see."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from tasks import clock, processes
from tasks.models import Worker

HEARTBEAT = 2.0
ALIVE_SECONDS = 6.0  # since the last heartbeat
ROW_DAYS = 1.0


class Presence:
    """The row of this one."""

    def __init__(
        self, name: str, kind: Worker.Kind, queues: Sequence[str] = (), capacity: int = 0
    ) -> None:
        self.name = name
        self.kind = kind
        self.queues = list(queues)
        self._row = {
            "kind": kind,
            "host": socket.gethostname(),
            "pid": int(name.split(":")[-2]),
            "queues": self.queues,
            "capacity": capacity,
        }
        self._told = float("-inf")

    @property
    def fresh(self) -> bool:
        """Whether the database took our heartbeat lately, so that others see us alive."""
        return processes.now() < self._told + ALIVE_SECONDS

    def is_due(self) -> bool:
        return processes.now() >= self._told + HEARTBEAT

    def tell(self) -> None:
        """Refresh the heartbeat where it is time to."""
        if self.is_due():
            self.tell_now()

    def tell_now(self) -> None:
        """Refresh the heartbeat, and make the row where it isn't there (any more)."""
        mine = Worker.objects.filter(name=self.name)
        if not mine.update(heartbeat_at=clock.now()):
            Worker.objects.create(name=self.name, heartbeat_at=clock.now(), **self._row)
            old = clock.now(-ROW_DAYS * 24 * 3600)
            Worker.objects.filter(heartbeat_at__lt=old).delete()
        self._told = processes.now()

    def end(self) -> None:
        Worker.objects.filter(name=self.name).delete()
