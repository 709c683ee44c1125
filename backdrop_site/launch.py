"""What `up` needs before its programs start: the folder for itself, a port, and the programs."""

from __future__ import annotations

import errno
import fcntl
import http.client
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connections
from django.utils import timezone

from backdrop_site import grpc_address
from backdrop_site.supervisor import Program
from tasks.models import Worker

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - looked up only
NEXT_PORTS = 100


class LaunchError(Exception):
    """Why the platform can't start here; one sentence with its remedy."""


class Claim:
    """One platform to a folder: a lock that dies with its holder, and a note of who that is."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "up.lock"
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise LaunchError(_already(self.path)) from None
        self.note({})

    def note(self, facts: Mapping[str, Any]) -> None:
        """Replace what others can read about this platform."""
        os.ftruncate(self._descriptor, 0)
        text = json.dumps({"pid": os.getpid(), **facts})
        os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def running(folder: Path) -> dict[str, Any]:
    """The note of the platform that runs in `folder`; empty where none does."""
    path = folder / "up.lock"
    with suppress(OSError, ValueError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return dict(json.load(file))
    return {}


def _already(path: Path) -> str:
    facts = running(path.parent)
    where = f" at {facts['url']}" if "url" in facts else ""
    return (
        f"Backdrop runs already{where} (process {facts.get('pid', 'unknown')}) on {path.parent}. "
        "Stop it first, or give this one a folder of its own: VAR_DIR=other make up."
    )


def listen(host: str, port: int, *, fixed: bool, name: str = "PORT") -> socket.socket:
    """A socket that listens on `port`; on the next free one where it is taken and not `fixed`.

    `name` is the variable that sets the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in (port,) if fixed else (*range(port, min(port + NEXT_PORTS, 65536)), 0):
        try:
            return socket.create_server((host, candidate), family=family, backlog=1024)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                reason = f"Can't listen on {host}, port {candidate}: {error.strerror}."
                raise LaunchError(f"{reason} Set HOST or {name} to another.") from None
    raise LaunchError(f"Port {port} on {host} is taken. Stop what uses it, or set another {name}.")


def grpc_port() -> int:
    """A port that the daemon can listen on; raises LaunchError where it may not serve at all.

    gRPC takes no open socket, so another program may still be faster; the daemon then says so.
    """
    for sentence in grpc_address.refusals():
        raise LaunchError(sentence)
    return _spare("GRPC_PORT")


def metrics_port() -> int:
    """A port that the daemon can tell its metrics on."""
    return _spare("METRICS_PORT")


def _spare(name: str) -> int:
    """What that variable says, or the next free one where it is taken and nobody asked for it."""
    fixed = name in os.environ
    with listen(settings.HOST, getattr(settings, name), fixed=fixed, name=name) as probe:
        port: int = probe.getsockname()[1]
    return port


def address(listener: socket.socket) -> str:
    """What a person on this machine types to reach it."""
    host, port = listener.getsockname()[:2]
    host = ANYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def reach(port: int) -> str:
    """What a person on this machine gives as `--address`."""
    return grpc_address.of(ANYWHERE.get(settings.HOST, settings.HOST), port)


def programs(listener: socket.socket, *, grpc: int, metrics: int) -> Sequence[Program]:
    """Web, worker and daemon, as `up` runs them."""
    return (
        Program(
            name="web",
            argv=_manage("runweb", "--fd", str(listener.fileno())),
            passes=(listener.fileno(),),
            ready=lambda pid: _answers(listener),
        ),
        Program(
            name="worker",
            argv=_manage("runworkers"),
            grace_seconds=settings.SHUTDOWN_GRACE_SECONDS + 10,
            ready=lambda pid: _beats(pid, Worker.Kind.WORKER),
        ),
        Program(
            name="daemon",
            argv=_manage("rundaemon"),
            environment={"GRPC_PORT": str(grpc), "METRICS_PORT": str(metrics)},
            ready=lambda pid: _beats(pid, Worker.Kind.DAEMON) and _accepts(grpc),
        ),
    )


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]


def _answers(listener: socket.socket) -> bool:
    host, port = listener.getsockname()[:2]
    connection = http.client.HTTPConnection(ANYWHERE.get(host, host), port, timeout=0.3)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((ANYWHERE.get(settings.HOST, settings.HOST), port), 0.3).close()
    except OSError:
        return False
    return True


def _beats(pid: int, kind: Worker.Kind) -> bool:
    """Whether that process has said in the database that it is alive."""
    try:
        row = Worker.objects.filter(pid=pid, kind=kind, host=socket.gethostname()).last()
    except DatabaseError:
        return False
    finally:
        connections.close_all()
    return row is not None and (timezone.now() - row.heartbeat_at).total_seconds() < 10
