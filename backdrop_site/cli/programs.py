"""The programs of databases on this machine: wrong where workers run here and one is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backdrop_site.cli.finding import Finding
from backups.pipeline.mysql import binaries as mysql
from backups.pipeline.postgres import binaries as postgres
from backups.rpc import backup_pb2 as pb

ELSEWHERE = "Only a machine on which workers run needs them: "


def findings(databases: Sequence[pb.Database] | None, *, here: bool) -> Iterator[Finding]:
    """Of each engine that has a database; PostgreSQL's too where none is known. `here`: whether
    workers run on this machine."""
    engines = {one.engine for one in databases or ()} or {"postgres"}
    if "postgres" in engines:
        yield _told("PostgreSQL clients", _postgres(*postgres.CLIENT), "postgresql-client", here)
        yield _told(
            "PostgreSQL server, to prove with", _postgres(*postgres.SERVER), "postgresql", here
        )
    if "mysql" in engines:
        clients = [client.tool for client in mysql.clients()]
        yield _told("MySQL clients", clients, "mariadb-client", here)
        servers = [f"MariaDB {mysql.shown(server.version)}" for server in mysql.servers()]
        yield _told("MariaDB server, to prove with", servers, "mariadb-server-core", here)


def _postgres(*names: str) -> list[str]:
    """The versions of which all of these are there."""
    found = {one.version for one in postgres.installations() if one.has(*names)}
    return sorted(found, key=lambda version: [int(number) for number in version.split(".")])


def _told(what: str, found: Sequence[str], package: str, here: bool) -> Finding:
    if found:
        return Finding(what=what, ok=True, detail=", ".join(found))
    remedy = f"apt-get install {package}"
    return Finding(
        what=what,
        ok=not here,
        detail="none on this machine",
        remedy=f"Install them: {remedy}" if here else f"{ELSEWHERE}{remedy}",
    )
