"""doctor: what is missing or wrong, from this machine to the daemon and behind it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from backdrop_site.cli import credentials
from backdrop_site.cli.daemon import Daemon
from backdrop_site.cli.errors import FAILED, CommandError, why_silent
from backdrop_site.cli.group import command
from backdrop_site.cli.screen import put_json
from backups.pipeline.mysql import binaries as mysql_binaries
from backups.pipeline.postgres import binaries
from backups.rpc import backup_pb2 as pb

SECONDS = 5.0
PRIVATE = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How one thing stands, and how to mend it."""

    what: str
    ok: bool
    detail: str
    remedy: str = ""
    grave: bool = True
    """Whether nothing after it can be known."""


@command("doctor")
def doctor(daemon: Daemon, as_json: bool) -> None:
    """Say what is missing or wrong, and how to mend it."""
    found = []
    for finding in _findings(daemon):
        found.append(finding)
        if not as_json:
            _tell(finding)
    if as_json:
        put_json([asdict(one) for one in found])
    wrong = sum(not one.ok for one in found)
    if wrong:
        raise click.exceptions.Exit(FAILED)
    if not as_json:
        click.echo("Nothing is wrong.")


def _tell(finding: Finding) -> None:
    mark = click.style("ok   ", fg="green") if finding.ok else click.style("wrong", fg="red")
    click.echo(f"{mark}  {finding.what}: {finding.detail}")
    if finding.remedy:
        click.echo(f"       {finding.remedy}")


def _findings(daemon: Daemon) -> Iterator[Finding]:
    """Each as soon as it is known; the rest is left out where one makes them pointless."""
    yield _programs()
    yield _file()
    checks: tuple[Callable[[Daemon], Finding], ...] = (_reachable, _speaks, _logged_in)
    for check in checks:
        finding = check(daemon)
        yield finding
        if not finding.ok and finding.grave:
            return
    yield from _parts(daemon)
    yield from _databases(daemon)


def _programs() -> Finding:
    """Missing ones are no fault of a machine that only runs this command."""
    versions = sorted({one.major for one in binaries.installations() if one.has("pg_dump")})
    told = f"PostgreSQL {', '.join(map(str, versions))}" if versions else "none"
    remedy = "" if versions else "Workers need them: apt-get install postgresql-client"
    return Finding(
        what="database programs on this machine", ok=True, detail=told, remedy=remedy, grave=False
    )


def _mysql_programs(databases: Iterable[pb.Database]) -> Iterator[Finding]:
    """Told of only where a database needs them; missing here they are no fault either."""
    if not any(one.engine == "mysql" for one in databases):
        return
    dumpers = ", ".join(client.tool for client in mysql_binaries.clients())
    yield Finding(
        what="MySQL programs on this machine",
        ok=True,
        detail=dumpers or "none",
        remedy="" if dumpers else "Workers need them: apt-get install mariadb-client",
        grave=False,
    )


def _file() -> Finding:
    path = credentials.path()
    private = not path.exists() or not path.stat().st_mode & PRIVATE
    return Finding(
        what="kept logins",
        ok=private,
        detail=str(path) if path.exists() else "none",
        remedy="" if private else f"Others can read your tokens: chmod 600 {path}",
        grave=False,
    )


def _reachable(daemon: Daemon) -> Finding:
    address = daemon.target.address
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS).close()
    except (OSError, ValueError) as error:
        return Finding(
            what="daemon",
            ok=False,
            detail=f"nobody listens at {address} ({error})",
            remedy="Start it (make up, or manage.py rundaemon), or name another: --address.",
        )
    return Finding(what="daemon", ok=True, detail=f"{address} takes connections")


def _speaks(daemon: Daemon) -> Finding:
    how = "TLS" if daemon.target.tls else "no TLS"
    try:
        stub = health_pb2_grpc.HealthStub(daemon.channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    except grpc.RpcError as error:
        details = error.details() or error.code().name
        told = why_silent(details, daemon.target.address, tls=daemon.target.tls)
        return Finding(
            what="gRPC",
            ok=False,
            detail=f"no answer with {how}. {told}",
            remedy="Is this its GRPC_PORT? Try --tls or --plaintext; --ca names the certificate "
            "of an authority of your own.",
        )
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return Finding(what="gRPC", ok=serving, detail=f"answers, {how}")


def _logged_in(daemon: Daemon) -> Finding:
    login = credentials.read(daemon.target.address)
    who = "by BACKDROP_TOKEN" if os.environ.get("BACKDROP_TOKEN") else ""
    who = who or (f"as {login.username}" if login else "")
    try:
        daemon.call("ListDatabases", pb.ListDatabasesRequest(), timeout=SECONDS)
    except CommandError as error:
        return Finding(what="login", ok=False, detail=error.message)
    return Finding(what="login", ok=True, detail=who)


def _parts(daemon: Daemon) -> Iterator[Finding]:
    status = daemon.call("GetStatus", pb.StatusRequest(), timeout=2 * SECONDS)
    for part in status.parts:
        yield Finding(what=part.name, ok=part.ok, detail=part.detail, grave=False)


def _databases(daemon: Daemon) -> Iterator[Finding]:
    found = daemon.call("ListDatabases", pb.ListDatabasesRequest()).databases
    if not found:
        yield Finding(
            what="databases", ok=False, detail="none", remedy="Register one in the dashboard."
        )
    yield from _mysql_programs(found)
    for one in found:
        if not one.plans:
            yield Finding(
                what=one.name,
                ok=False,
                detail="no plan backs it up",
                remedy="Make a plan for it in the dashboard.",
            )
        elif not one.HasField("last_backup_at"):
            yield Finding(
                what=one.name,
                ok=False,
                detail="never backed up",
                remedy=f"backdrop backup {one.name}",
            )
        else:
            yield Finding(what=one.name, ok=True, detail="has been backed up")
