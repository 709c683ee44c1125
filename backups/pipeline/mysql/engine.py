"""MySQL and MariaDB as an engine: the one thing of them that the rest of the house sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from backups.pipeline.contents import Contents, Reader
from backups.pipeline.engine import Told, Url
from backups.pipeline.mysql import binaries, catalogue
from backups.pipeline.mysql.connection import TLS_MODES, MysqlServer
from backups.pipeline.mysql.dumptext import DumpReader
from backups.pipeline.mysql.scratch import ScratchMariadb
from backups.pipeline.mysql.sink import MysqlSink, drop_restoring
from backups.pipeline.mysql.source import MysqlSource
from backups.pipeline.ports import Sink, Source


@dataclass(frozen=True, slots=True)
class _Scratch:
    """The database has the name that it had: what the dump says of itself may be qualified."""

    server: ScratchMariadb
    traits: Mapping[str, Any]

    def sink(self, dbname: str, *, waiting: Told | None = None) -> Sink:
        return MysqlSink(
            self.server.server(),
            dbname=self._name(dbname),
            traits=self.traits,
            direct=True,
            waiting=waiting,
        )

    def source(self, dbname: str) -> Source:
        return MysqlSource(self.server.server(self._name(dbname)))

    def _name(self, dbname: str) -> str:
        return str(self.traits.get("dbname") or dbname)


class MysqlEngine:
    """Through `mariadb-dump` and `mariadb`, or `mysqldump` and `mysql`."""

    name = "mysql"
    label = "MySQL or MariaDB"
    default_port = 3306
    tls_modes = TLS_MODES
    url = Url(
        variable="MYSQL_URL",
        schemes=("mysql", "mariadb"),
        tls=("ssl-mode", "sslmode"),
        tls_words={
            "disabled": "disable",
            "preferred": "prefer",
            "required": "require",
            "verify-identity": "verify-full",
        },
        socket="socket",
        named_by_user=False,
        form="mysql://user:password@host:3306/name, with ?ssl-mode=",
    )
    rights = (
        f"In MySQL and MariaDB grant it {', '.join(catalogue.NEEDED)} on the database, and SELECT "
        "on mysql.proc (MariaDB) or SHOW_ROUTINE (MySQL)."
    )

    def server(
        self,
        *,
        host: str,
        port: int,
        dbname: str,
        user: str,
        password: str = "",
        sslmode: str = "",
    ) -> MysqlServer:
        return MysqlServer(
            host=host, port=port, dbname=dbname, user=user, password=password, sslmode=sslmode
        )

    def source(
        self,
        server: MysqlServer,
        *,
        label: str = "",
        waiting: Told | None = None,
        stall_seconds: float = 600,
        lock_wait_seconds: float = 60,
    ) -> Source:
        return MysqlSource(
            server,
            label=label,
            waiting=waiting,
            stall_seconds=stall_seconds,
            lock_wait_seconds=lock_wait_seconds,
        )

    def sink(
        self,
        server: MysqlServer,
        *,
        dbname: str,
        replace: bool = False,
        traits: Mapping[str, Any] | None = None,
        waiting: Told | None = None,
        opened: Told | None = None,
        closed: Told | None = None,
    ) -> Sink:
        return MysqlSink(
            server,
            dbname=dbname,
            replace=replace,
            traits=traits,
            waiting=waiting,
            opened=opened,
            closed=closed,
        )

    def drop_restoring(self, server: MysqlServer, name: str) -> None:
        drop_restoring(server, name)

    @contextmanager
    def scratch(
        self,
        traits: Mapping[str, Any],
        *,
        opened: Told | None = None,
        closed: Told | None = None,
    ) -> Iterator[_Scratch]:
        version = tuple(int(number) for number in traits.get("version", (0, 0, 0)))
        installation = binaries.server_for(
            str(traits.get("flavour", "mariadb")), (version[0], version[1], version[2])
        )
        names = "lower_case_table_names"
        settings = {"lower-case-table-names": str(min(1, int(traits.get(names, 0))))}
        with ScratchMariadb(
            installation, settings=settings, opened=opened, closed=closed
        ) as server:
            server.create_missing_users(traits.get("definers", []))
            yield _Scratch(server, traits)

    def reader(self, contents: Contents) -> Reader:
        return DumpReader(contents)

    def by_hand(self, opened: str) -> str:
        return f"mariadb-admin create restored && {opened} | mariadb restored"
