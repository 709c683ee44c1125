"""doctor: what is missing or wrong, from this machine to the daemon and behind it."""

from __future__ import annotations

import difflib
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from backdrop_site.cli import credentials, programs
from backdrop_site.cli.daemon import Daemon, is_loopback
from backdrop_site.cli.errors import FAILED, CommandError, why_silent
from backdrop_site.cli.finding import Finding
from backdrop_site.cli.group import command
from backdrop_site.cli.screen import put_json
from backdrop_site.cli.web import Web
from backups.rpc import backup_pb2 as pb

SECONDS = 5.0
PRIVATE = 0o077
VARIABLES = ("ADDRESS", "TLS", "CA", "TOKEN", "URL")
"""Those that the command reads, after `BACKDROP_`."""


@dataclass(slots=True)
class Known:
    """What the daemon has told; None before, and where it can't be asked."""

    status: pb.StatusResponse | None = None
    databases: Sequence[pb.Database] | None = None


@command("doctor", epilog="Exit code 0 only where all is well.")
def doctor(daemon: Daemon, as_json: bool) -> None:
    """Say what is missing or wrong, and how to mend it.

    Asked are this machine (variables, kept logins, programs of databases where workers run here),
    the way to the daemon, and the daemon about its database, workers, storage, disk and ports.
    """
    found = []
    for finding in _findings(daemon):
        found.append(finding)
        if not as_json:
            _tell(finding)
    if as_json:
        put_json([asdict(one) for one in found])
    if any(not one.ok for one in found):
        raise click.exceptions.Exit(FAILED)
    if not as_json:
        click.echo("Nothing is wrong.")


def _tell(finding: Finding) -> None:
    mark = click.style("wrong", fg="red")
    if finding.ok:
        mark = "note " if finding.remedy else click.style("ok   ", fg="green")
    click.echo(f"{mark}  {finding.what}: {finding.detail}")
    if finding.remedy:
        click.echo(f"       {finding.remedy}")


def _findings(daemon: Daemon) -> Iterator[Finding]:
    """Each as soon as it is known."""
    known = Known()
    yield _variables()
    yield _file()
    yield from _of_daemon(daemon, known)
    yield _web(daemon)
    here = _works_here(daemon, known.status)
    yield from programs.findings(known.databases, here=here)


def _of_daemon(daemon: Daemon, known: Known) -> Iterator[Finding]:
    """The rest is left out where one makes it pointless."""
    checks: tuple[Callable[[Daemon], Finding], ...] = (_reachable, _speaks, _logged_in)
    for check in checks:
        finding = check(daemon)
        yield finding
        if not finding.ok:
            return
    try:
        known.status = daemon.call("GetStatus", pb.StatusRequest(), timeout=2 * SECONDS)
        known.databases = daemon.call("ListDatabases", pb.ListDatabasesRequest()).databases
    except CommandError as error:
        yield Finding(what="status", ok=False, detail=error.message)
        return
    for part in known.status.parts:
        yield Finding(what=part.name, ok=part.ok, detail=part.detail, remedy=part.remedy)
    yield from _databases(known.databases)


# This machine ------------------------------------------------------------------------------------


def _variables() -> Finding:
    known = {f"BACKDROP_{name}" for name in VARIABLES}
    given = sorted(name for name in os.environ if name.startswith("BACKDROP_"))
    strange = [name for name in given if name not in known]
    if not strange:
        return Finding(what="settings", ok=True, detail=", ".join(given) or "none is set")
    near = difflib.get_close_matches(strange[0], known, n=1)
    return Finding(
        what="settings",
        ok=False,
        detail=f"{', '.join(strange)}: nothing reads that",
        remedy=f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(known))}.",
    )


def _file() -> Finding:
    path = credentials.path()
    if not path.exists():
        return Finding(what="kept logins", ok=True, detail="none")
    if path.stat().st_mode & PRIVATE:
        return Finding(
            what="kept logins",
            ok=False,
            detail=f"others can read your tokens in {path}",
            remedy=f"chmod 600 {path}, and log in anew if somebody may have: backdrop login",
        )
    try:
        logins = json.loads(path.read_text())
    except (OSError, ValueError):
        return Finding(
            what="kept logins",
            ok=False,
            detail=f"{path} can't be read",
            remedy="Remove it and log in again: backdrop login",
        )
    return Finding(what="kept logins", ok=True, detail=f"{len(logins)} in {path}, only for you")


def _works_here(daemon: Daemon, status: pb.StatusResponse | None) -> bool:
    """Whether workers run on this machine; where nobody can tell, they do beside a daemon."""
    if status is not None and status.worker_hosts:
        return socket.gethostname() in status.worker_hosts
    return is_loopback(daemon.target.address)


# The way to the daemon ---------------------------------------------------------------------------


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
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        return Finding(
            what="gRPC",
            ok=False,
            detail="answers, and says that it can't serve",
            remedy="Its own database is away, or it is stopping: look at the daemon's log.",
        )
    return Finding(what="gRPC", ok=True, detail=f"answers, {how}")


def _logged_in(daemon: Daemon) -> Finding:
    login = credentials.read(daemon.target.address)
    who = "by BACKDROP_TOKEN" if os.environ.get("BACKDROP_TOKEN") else ""
    who = who or (f"as {login.username}" if login else "")
    try:
        daemon.call("ListDatabases", pb.ListDatabasesRequest(), timeout=SECONDS)
    except CommandError as error:
        sentence, _, remedy = error.message.partition(". ")
        return Finding(what="login", ok=False, detail=sentence, remedy=remedy)
    return Finding(what="login", ok=True, detail=who)


def _web(daemon: Daemon) -> Finding:
    """Only what sends and fetches files needs it, so it is wrong only where somebody named it."""
    url = os.environ.get("BACKDROP_URL", "")
    try:
        web = Web.beside(daemon, url)
        if web.answers(within=SECONDS):
            return Finding(what="web", ok=True, detail=f"{web.url} answers")
        why = f"nobody answers at {web.url}"
    except CommandError as error:
        why = error.message
    return Finding(
        what="web",
        ok=not url,
        detail=why,
        remedy="upload, result and jobs need it: BACKDROP_URL says where it is.",
    )


def _databases(found: Sequence[pb.Database]) -> Iterator[Finding]:
    if not found:
        yield Finding(
            what="databases", ok=False, detail="none", remedy="Register one in the dashboard."
        )
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
