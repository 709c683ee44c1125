"""A throwaway PostgreSQL server in a temporary folder of its own.

Drills restore into one; the demo and the tests use one as the database to back up.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from backups.pipeline import scratch, unprivileged
from backups.pipeline.postgres import binaries, copies
from backups.pipeline.postgres.cluster import SUPERUSER, Cluster
from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.scratch import ScratchServer

_SETTINGS = {
    # Shared memory in the folder, so that not even SIGKILL leaves anything elsewhere.
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "128MB",
    "max_locks_per_transaction": "1024",
    "log_min_messages": "warning",
    "logging_collector": "off",
    "lc_messages": "C",
    "timezone": "UTC",
}
_THROWAWAY_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "1h",
    "maintenance_work_mem": "128MB",
    "autovacuum": "off",
    "max_connections": "20",
}


class ScratchPostgres(ScratchServer):
    """A PostgreSQL server that lives as long as its context; see `ScratchServer`.

    Reached through a Unix socket in its folder; with `listen`, through a free port on loopback as
    well. A password is asked for either way. `durable` keeps the settings that a server needs to
    survive a crash.
    """

    def __init__(
        self,
        installation: binaries.Installation | None = None,
        *,
        parent: Path | None = None,
        listen: bool = False,
        durable: bool = False,
        settings: dict[str, str] | None = None,
        opened: Callable[[str], None] | None = None,
        closed: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(parent=parent, opened=opened, closed=closed)
        self.installation = installation or binaries.server_for(0)
        self.password = secrets.token_urlsafe(24)
        self._listen = listen
        self._settings = {
            **_SETTINGS,
            **({} if durable else _THROWAWAY_SETTINGS),
            **(settings or {}),
        }
        self._superuser = SUPERUSER
        self._cluster: Cluster | None = None

    def begin(self) -> None:
        self.installation = copies.enterable(
            self.installation, self.account, parent=scratch.temporary(self.account)
        )
        self._cluster = Cluster(
            self.installation,
            self.folder,
            account=self.account,
            listen=self._listen,
            settings=self._settings,
        )
        self._cluster.initialise(self.password)
        self._cluster.start()

    def stop(self, *, immediate: bool = True) -> None:
        if self._cluster:
            self._cluster.stop(immediate=immediate)

    @property
    def port(self) -> int:
        return self._cluster.port if self._cluster else 0

    @property
    def pid(self) -> int:
        """Of the server's first process; 0 while it is stopped."""
        return self._cluster.pid if self._cluster else 0

    def start(self) -> None:
        """Start the server again after `stop`; with `listen`, on another port."""
        if self._cluster:
            self._cluster.start()

    def server(self, dbname: str = "postgres") -> PostgresServer:
        """Its superuser's way in: over TCP when it listens."""
        return PostgresServer(
            host="127.0.0.1" if self._listen else str(self.folder),
            port=self.port,
            dbname=dbname,
            user=self._superuser,
            password=self.password,
        )

    def dsn(self, dbname: str = "postgres") -> str:
        """A URL with the password in it."""
        place = self.server(dbname)
        if self._listen:
            return f"postgresql://{place.user}:{self.password}@{place.place}/{dbname}"
        return f"postgresql://{place.user}:{self.password}@/{dbname}?host={place.host}"

    def connect(self, dbname: str = "postgres") -> psycopg.Connection[Any]:
        """A superuser's connection in autocommit."""
        return self.server(dbname).connect("backdrop scratch")

    def execute(self, statements: str, dbname: str = "postgres") -> None:
        """Run statements of our own as superuser, one after another, each on its own."""
        with self.connect(dbname) as connection:
            connection.execute(statements.encode())

    def createdb(self, dbname: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(dbname)))

    def dropdb(self, dbname: str) -> None:
        with self.connect() as connection:
            drop = "DROP DATABASE IF EXISTS {} WITH (FORCE)"
            connection.execute(sql.SQL(drop).format(sql.Identifier(dbname)))

    def rename_superuser(self, name: str) -> None:
        """Give the superuser another name: a foreign dump may have a role of the usual one."""
        helper = f"{name}_helper"
        as_helper = replace(self.server(), user=helper)
        with self.connect() as connection:
            make = sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}")
            connection.execute(make.format(sql.Identifier(helper), sql.Literal(self.password)))
        with as_helper.connect("backdrop scratch") as connection:
            rename = sql.SQL("ALTER ROLE {} RENAME TO {}")
            ours = sql.Identifier(self._superuser), sql.Identifier(name)
            connection.execute(rename.format(*ours))
        self._superuser = name
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(helper)))

    def create_missing_roles(self, names: list[str]) -> None:
        """Roles that a dump names as owners or grantees; none of them can log in."""
        with self.connect() as connection:
            known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            for name in sorted(set(names) - known):
                create = sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name))
                connection.execute(create)

    def create_missing_tablespaces(self, names: list[str]) -> None:
        """Tablespaces that a dump puts tables into; all lie in the server's folder, which a
        server below version 15 does not allow."""
        if self.installation.major < 15:
            return
        with self.connect() as connection:
            known = {name for (name,) in connection.execute("SELECT spcname FROM pg_tablespace")}
            for name in sorted(set(names) - known):
                connection.execute("SET allow_in_place_tablespaces = on")
                create = sql.SQL("CREATE TABLESPACE {} LOCATION ''").format(sql.Identifier(name))
                connection.execute(create)


def runnable(
    installation: binaries.Installation,
) -> tuple[binaries.Installation, unprivileged.Account | None]:
    """The installation where the account of scratch servers can run it, and that account."""
    account = unprivileged.account()
    return copies.enterable(installation, account, parent=scratch.temporary(account)), account
