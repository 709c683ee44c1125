"""PostgreSQL as an engine: the one thing of it that the rest of the house sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from backups.pipeline.contents import Contents, Reader
from backups.pipeline.engine import Told, Url
from backups.pipeline.ports import Sink, Source
from backups.pipeline.postgres import binaries
from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.postgres.dumptext import DumpReader
from backups.pipeline.postgres.scratch import ScratchPostgres
from backups.pipeline.postgres.sink import PostgresSink, drop_restoring
from backups.pipeline.postgres.source import PostgresSource


@dataclass(frozen=True, slots=True)
class _Scratch:
    """One transaction is faster, and keeps the order of the rows."""

    server: ScratchPostgres
    traits: Mapping[str, Any]

    def sink(self, dbname: str, *, waiting: Told | None = None) -> Sink:
        return PostgresSink(
            self.server.server(),
            dbname=dbname,
            traits=self.traits,
            single_transaction=True,
            waiting=waiting,
        )

    def source(self, dbname: str) -> Source:
        return PostgresSource(self.server.server(dbname))


class PostgresEngine:
    """Through `pg_dump` and `psql`."""

    name = "postgres"
    label = "PostgreSQL"
    default_port = 5432
    tls_modes = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
    url = Url(
        variable="POSTGRES_URL",
        schemes=("postgres", "postgresql"),
        tls=("sslmode",),
        tls_words={},
        socket="host",
        named_by_user=True,
        form="postgres://user:password@host:5432/name, with ?sslmode=",
    )
    rights = "In PostgreSQL a role that may read everything in it is enough."

    def server(
        self,
        *,
        host: str,
        port: int,
        dbname: str,
        user: str,
        password: str = "",
        sslmode: str = "",
    ) -> PostgresServer:
        return PostgresServer(
            host=host, port=port, dbname=dbname, user=user, password=password, sslmode=sslmode
        )

    def source(
        self,
        server: PostgresServer,
        *,
        label: str = "",
        waiting: Told | None = None,
        stall_seconds: float = 600,
        lock_wait_seconds: float = 60,
    ) -> Source:
        return PostgresSource(
            server,
            label=label,
            waiting=waiting,
            stall_seconds=stall_seconds,
            lock_wait_seconds=lock_wait_seconds,
        )

    def sink(
        self,
        server: PostgresServer,
        *,
        dbname: str,
        replace: bool = False,
        traits: Mapping[str, Any] | None = None,
        waiting: Told | None = None,
        opened: Told | None = None,
        closed: Told | None = None,
    ) -> Sink:
        return PostgresSink(
            server,
            dbname=dbname,
            replace=replace,
            traits=traits,
            waiting=waiting,
            opened=opened,
            closed=closed,
        )

    def drop_restoring(self, server: PostgresServer, name: str) -> None:
        drop_restoring(server, name)

    @contextmanager
    def scratch(
        self,
        traits: Mapping[str, Any],
        *,
        opened: Told | None = None,
        closed: Told | None = None,
    ) -> Iterator[_Scratch]:
        installation = binaries.server_for(int(traits.get("dump_major", 0)))
        with ScratchPostgres(installation, opened=opened, closed=closed) as server:
            server.create_missing_roles(list(traits.get("roles", [])))
            server.create_missing_tablespaces(list(traits.get("tablespaces", [])))
            yield _Scratch(server, traits)

    def reader(self, contents: Contents) -> Reader:
        return DumpReader(contents)

    def by_hand(self, opened: str) -> str:
        return f"createdb restored && {opened} | psql -v ON_ERROR_STOP=1 -d restored"
