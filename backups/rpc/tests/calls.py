"""A real daemon for tests, and callers of its gRPC door."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from backups.rpc import backup_pb2 as pb
from backups.rpc.backup_pb2_grpc import BackupServiceStub
from tasks.tests.crew import Crew, daemon, until
from tests.web import token_of

LISTENS = re.compile(r"gRPC on (?P<host>\S+):(?P<port>\d+) \(")
SECONDS = 60.0


class Door:
    """The gRPC door of one daemon."""

    def __init__(self, crew: Crew, port: int) -> None:
        self.crew = crew
        self.port = port
        self.address = f"127.0.0.1:{port}"

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        with grpc.insecure_channel(self.address) as channel:
            yield channel

    @contextmanager
    def calls(self, user: Any = None, **token: Any) -> Iterator[Calls]:
        with self.channel() as channel:
            yield Calls(channel, token_of(user, **token) if user else None)


class Calls:
    """`calls.RunBackup(database="shop")`, as one user."""

    def __init__(self, channel: grpc.Channel, token: Any = None) -> None:
        self.stub = BackupServiceStub(channel)
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def waiting(self, **fields: Any) -> Any:
        """RunBackup, under way: a future."""
        asked = pb.BackupRequest(**fields)
        return self.stub.RunBackup.future(asked, metadata=self.metadata, timeout=SECONDS)

    def __getattr__(self, method: str) -> Any:
        def call(request: Any = None, *, timeout: float | None = SECONDS, **fields: Any) -> Any:
            asked = REQUESTS[method](**fields) if request is None else request
            return getattr(self.stub, method)(asked, metadata=self.metadata, timeout=timeout)

        return call


SERVICE = pb.DESCRIPTOR.services_by_name["BackupService"]
REQUESTS = {one.name: getattr(pb, one.input_type.name) for one in SERVICE.methods}


@contextmanager
def door(folder: Path, **environment: str) -> Iterator[Door]:
    with daemon(folder, **{"GRPC_PORT": "0", **environment}) as running:
        found = until(lambda: LISTENS.search(running.log.read_text()), what="gRPC listens")
        yield Door(running, int(found["port"]))


def health_of(opened: Door, service: str = "") -> str:
    """What the daemon says of itself, or of one service: SERVING, NOT_SERVING."""
    asked = health_pb2.HealthCheckRequest(service=service)
    with opened.channel() as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=SECONDS)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def inside_of(running: Crew) -> str:
    """The socket that a daemon keeps for its own calls."""
    sockets = Path("/proc/net/unix").read_text()
    names = set(re.findall(rf"@(backdrop-grpc-{running.process.pid}-\w+)", sockets))
    assert len(names) == 1
    return f"unix-abstract:{names.pop()}"


@contextmanager
def refused(code: grpc.StatusCode, words: str = "") -> Iterator[pytest.ExceptionInfo]:
    """The call fails with that code and a sentence that holds `words`."""
    with pytest.raises(grpc.RpcError) as raised:
        yield raised
    error = raised.value
    assert error.code() == code, error
    assert words in error.details(), error.details()
