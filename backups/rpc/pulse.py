"""Health: SERVING while Backdrop's own database is there, without which every call is UNAVAILABLE.

Known from the daemon's heartbeat, so that asking costs no query, and one who watches and does not
read holds up nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from backups.rpc.refusals import Code

if TYPE_CHECKING:
    from tasks.presence import Presence

Answer = health_pb2.HealthCheckResponse

WATCH_SECONDS = 0.5


class Pulse(health_pb2_grpc.HealthServicer):
    """Of the daemon, which is asked for by an empty name, and of its services; `stopping` once it
    takes no new calls."""

    def __init__(self, presence: Presence, services: tuple[str, ...]) -> None:
        self.stopping = False
        self._presence = presence
        self._names = ("", *services)

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:
        if request.service not in self._names:
            await context.abort(Code.NOT_FOUND, f"There is no service {request.service[:60]}.")
        return Answer(status=self._status(request.service))

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> AsyncIterator[Any]:
        """Now, and whenever it changes, until the daemon stops."""
        told = None
        while not (self.stopping and told == Answer.NOT_SERVING):
            status = self._status(request.service)
            if status != told:
                yield Answer(status=status)
            told = status
            await asyncio.sleep(WATCH_SECONDS)

    def _status(self, service: str) -> Any:
        if service not in self._names:
            return Answer.SERVICE_UNKNOWN
        alive = self._presence.fresh and not self.stopping
        return Answer.SERVING if alive else Answer.NOT_SERVING
