"""The gRPC server of the daemon: BackupService, health, reflection, TLS, and who may call what.

Imported by the daemon alone: it is the one process that never forks, and gRPC survives no fork.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from backdrop_site import grpc_address, machine
from backdrop_site import status as status_parts
from backups.rpc import backup_pb2, backup_pb2_grpc, callers, place
from backups.rpc.database import ask
from backups.rpc.pulse import Pulse
from backups.rpc.refusals import Code, StatusError, status_of
from backups.rpc.servicer import Servicer

if TYPE_CHECKING:
    from tasks.daemon import Daemon

logger = logging.getLogger(__name__)

SERVICE = backup_pb2.DESCRIPTOR.services_by_name["BackupService"].full_name
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
GRACE_SECONDS = 2.0
RETRY_SECONDS = 5.0

OPEN = {f"/{SERVICE}/{name}" for name in ("Login", "Refresh", "Logout")}
"""Beside health: they need no token."""
ORIGINAL = {f"/{SERVICE}/{name}" for name in ("RunBackup", "StreamProgress")}
"""What clients that send no token may call where GRPC_REQUIRE_AUTH is false."""

PARTS = (status_parts,)
"""Imported for what it registers: more parts for GetStatus to tell."""

OPTIONS = (
    ("grpc.so_reuseport", 0),  # two daemons on one port would share its calls by chance
    ("grpc.keepalive_time_ms", 30_000),  # callers whose machine has gone are noticed
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


class PortTakenError(Exception):
    """Another program listens there."""


async def serve(daemon: Daemon) -> None:
    """A service of the daemon; raises ImproperlyConfigured where the settings make no sense.

    For calls from inside this process there is a socket of its own, whatever the outside needs: no
    network, no TLS, and nobody who may have taken the port.
    """
    address = grpc_address.read()
    inside = f"unix-abstract:backdrop-grpc-{os.getpid()}-{os.urandom(8).hex()}"
    pulse = Pulse(daemon.presence, (SERVICE,))
    async with _serving(pulse, lambda server: server.add_insecure_port(inside)):
        place.note(inside)
        try:
            await _serve_outside(daemon, address, pulse)
        finally:
            place.note("")


async def _serve_outside(daemon: Daemon, address: str, pulse: Pulse) -> None:
    """Once the port is free, if another program has it."""
    told = False
    while not daemon.stopping.is_set():
        try:
            async with _serving(pulse, lambda server: _listen(server, address)) as port:
                _tell_listening(port)
                await daemon.stopping.wait()
        except PortTakenError:
            if not told:
                logger.warning(
                    "gRPC can't listen on %s: is it taken? GRPC_PORT sets another.", address
                )
            told = True
            await daemon.sleep(RETRY_SECONDS)


def _tell_listening(port: int) -> None:
    secured = "TLS" if settings.GRPC_TLS_CERT else "no TLS"
    auth = "" if settings.GRPC_REQUIRE_AUTH else ", no token needed to run a backup"
    logger.info("gRPC on %s (%s%s)", grpc_address.of(settings.HOST, port), secured, auth)


@asynccontextmanager
async def _serving(pulse: Pulse, listen: Callable[[Any], int]) -> AsyncIterator[int]:
    """A server that listens as told, and the port; those who wait are told when it stops."""
    server, servicer = _server(pulse)
    port = listen(server)
    await server.start()
    try:
        yield port
    finally:
        pulse.stopping = True
        servicer.stopping.set()
        await server.stop(GRACE_SECONDS)


def _server(pulse: Pulse) -> tuple[Any, Servicer]:
    server = grpc.aio.server(interceptors=[Doorkeeper()], options=OPTIONS)
    servicer = Servicer(settings.VERSION, machine.PARTS)
    backup_pb2_grpc.add_BackupServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(pulse, server)
    reflection.enable_server_reflection((SERVICE, HEALTH, reflection.SERVICE_NAME), server)
    return server, servicer


def _listen(server: Any, address: str) -> int:
    """Bind; the port, which is a free one where GRPC_PORT is 0."""
    try:
        if settings.GRPC_TLS_CERT:
            return int(server.add_secure_port(address, _credentials()))
        return int(server.add_insecure_port(address))
    except RuntimeError:
        if settings.GRPC_TLS_CERT:
            _try_pair()
        raise PortTakenError(address) from None


def _credentials() -> Any:
    files = (settings.GRPC_TLS_KEY, settings.GRPC_TLS_CERT)
    return grpc.ssl_server_credentials([tuple(Path(file).read_bytes() for file in files)])


def _try_pair() -> None:
    """Raise ImproperlyConfigured where gRPC serves no address at all with the certificate, whose
    curve it may not know."""
    try:
        grpc.aio.server().add_secure_port(f"unix-abstract:{os.urandom(16).hex()}", _credentials())
    except RuntimeError:
        raise ImproperlyConfigured(
            f"gRPC can't serve with the certificate and key in {settings.GRPC_TLS_CERT} and "
            f"{settings.GRPC_TLS_KEY} (GRPC_TLS_CERT, GRPC_TLS_KEY): make another pair, of RSA or "
            "the curve P-256."
        ) from None


class Doorkeeper(grpc.aio.ServerInterceptor):
    """Says who calls, from `authorization: Bearer …` metadata, before anything is done."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        handler = await continuation(details)
        if handler is None or details.method in OPEN or details.method.startswith(f"/{HEALTH}/"):
            return handler
        try:
            callers.enter(await _caller(details.method, details.invocation_metadata))
        except Exception as error:  # of whatever kind: nobody passes by a mistake of ours
            return _refusing(handler, status_of(error))
        return handler


async def _caller(method: str, metadata: Any) -> callers.Caller:
    said = [value for name, value in metadata or () if name == "authorization"]
    if not said:
        if method in ORIGINAL and not settings.GRPC_REQUIRE_AUTH:
            return callers.Caller(user=None)
        raise StatusError(
            Code.UNAUTHENTICATED, "Log in first: send `authorization: Bearer <token>` metadata."
        )
    kind, _, token = str(said[-1]).partition(" ")
    if kind.lower() != "bearer":
        raise StatusError(Code.UNAUTHENTICATED, "`authorization` is `Bearer <token>`.")
    return await ask(callers.Caller.by_token, token.strip())


def _refusing(handler: Any, error: StatusError) -> Any:
    """In place of `handler`: tells why not."""

    async def refuse(request: Any, context: Any) -> None:
        await context.abort(error.code, error.sentence)

    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make = kinds[handler.request_streaming, handler.response_streaming]
    return make(refuse, handler.request_deserializer, handler.response_serializer)
