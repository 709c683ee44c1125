"""A MySQL or MariaDB database as a source, read through `mysqldump` or `mariadb-dump`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

from backups.pipeline import dumping, processes
from backups.pipeline.errors import SourceError
from backups.pipeline.mysql import binaries, catalogue, connection, sentences, sessions
from backups.pipeline.mysql.binaries import Client
from backups.pipeline.mysql.connection import Connection, MysqlServer
from backups.pipeline.mysql.dump import MysqlDump
from backups.pipeline.ports import SourceInfo, Stream

_SHOWN = 5
DUMP_OPTIONS = (
    "--single-transaction",
    "--quick",
    "--skip-lock-tables",
    "--skip-add-locks",  # under which a default may not ask its sequence
    "--hex-blob",  # so that a dump is text in one encoding
    "--complete-insert",  # survives invisible columns, and another order of columns
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
    "--no-tablespaces",
)
_MYSQL_OPTIONS = ("--set-gtid-purged=OFF", "--column-statistics=0")


class MysqlSource:
    """Dumps one database as plain SQL, by the client of the server's own flavour.

    `waiting` is told, in a sentence, what the dump waits for while nothing comes. `label` is the
    database's name for people.
    """

    extension = "sql"

    def __init__(
        self,
        server: MysqlServer,
        *,
        stall_seconds: float = 600,
        lock_wait_seconds: float = 60,
        label: str = "",
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        self._server = server
        self._stall_seconds = stall_seconds
        self._lock_wait_seconds = lock_wait_seconds
        self._label = label
        self._waiting = waiting

    def check(self) -> SourceInfo:
        """Connect, find a client that fits, and see that everything may be read."""
        return self._check()[0]

    def _check(self) -> tuple[SourceInfo, Client, sessions.Session]:
        """What is known of the database, what dumps it, and how its session will be found."""
        try:
            with self._server.connect() as connected:
                info, client = self._describe(connected)
                after = sessions.latest(connected)
        except (pymysql.MySQLError, OSError) as error:
            told = sentences.connecting(self._server, str(error))
            raise SourceError(told.sentence, remedy=told.remedy, permanent=told.permanent) from None
        return info, client, sessions.Session(self._server, after=after)

    @contextmanager
    def open(self) -> Iterator[Stream]:
        """The dump as blocks of a buffer that is used again; see `dumping.Dump` for how it ends."""
        _, client, session = self._check()
        with self._server.option_file() as opened:
            process = processes.start(
                command(self._server, client, opened, "--routines", "--triggers", "--events"),
                env=connection.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[opened],
            )
            program = Path(client.dump).name
            dump = dumping.Dump(
                MysqlDump(
                    self._server, program, session, lock_wait_seconds=self._lock_wait_seconds
                ),
                process,
                stall_seconds=self._stall_seconds,
                lock_wait_seconds=self._lock_wait_seconds,
                waiting=self._waiting,
            )
            try:
                session.belongs_to(process.pid)
                yield dump
            finally:
                dump.close()

    def _describe(self, connected: Connection) -> tuple[SourceInfo, Client]:
        dbname = self._server.dbname
        catalogue.query(connected, "SET SESSION lock_wait_timeout = 2")
        version = catalogue.version(connected)
        flavour = "mariadb" if "mariadb" in version.lower() else "mysql"
        client = binaries.client_for(flavour)
        self._refuse_hidden(catalogue.missing_rights(connected, dbname, flavour))
        if client.flavour != flavour and catalogue.has_generated_columns(connected, dbname):
            raise SourceError(
                f"{dbname} has generated columns, which MySQL does not take back from MariaDB's"
                " dump program, the only one on this machine.",
                remedy="Install MySQL's own client (mysqldump).",
                permanent=True,
            )
        schema = catalogue.schema(connected, dbname)
        unprotected = catalogue.unprotected(connected, dbname)
        info = SourceInfo(
            engine="mysql",
            server_version=version,
            tool=client.tool,
            estimated_bytes=catalogue.size(connected, dbname),
            traits={
                "flavour": flavour,
                "version": list(binaries.version_of(version)),
                "dbname": dbname,
                "charset": schema.charset if schema else "",
                "collation": schema.collation if schema else "",
                "definers": catalogue.definers(connected, dbname),
                "unprotected": unprotected,
                "asking_defaults": bool(catalogue.asking_defaults(connected, dbname, dbname)),
                "lower_case_table_names": int(
                    catalogue.query(connected, "SELECT @@lower_case_table_names")[0][0]
                ),
            },
            warnings=_warnings(unprotected),
        )
        return info, client

    def _refuse_hidden(self, missing: list[str]) -> None:
        if missing:
            user = self._server.user
            granted = [right for right in missing if " ON " not in right]
            database = connection.quoted(self._server.dbname)
            grants = [f"GRANT {', '.join(granted)} ON {database}.*"] if granted else []
            grants += [f"GRANT {right}" for right in missing if " ON " in right]
            raise SourceError(
                f"User {user} may not see all of {self._server.dbname}: it lacks"
                f" {', '.join(missing)}.",
                remedy=f"{'; '.join(f'{grant} TO that user' for grant in grants)}.",
                permanent=True,
            )


def command(server: MysqlServer, client: Client, opened: int, *more: str) -> list[str]:
    """The dump program for that database; `more` is what to dump, `opened` the option file."""
    return [
        client.dump,
        f"--defaults-file=/proc/self/fd/{opened}",
        *DUMP_OPTIONS,
        *(_MYSQL_OPTIONS if client.flavour == "mysql" else ()),
        *more,
        *server.arguments(client),
        server.dbname,
    ]


def _warnings(unprotected: list[str]) -> tuple[str, ...]:
    if not unprotected:
        return ()
    shown = ", ".join(unprotected[:_SHOWN]) + (" and others" if len(unprotected) > _SHOWN else "")
    return (
        f"The engine of {shown} knows no transactions (MyISAM, Aria and the like): what is written"
        " to it during the dump may be in the backup in part. Convert it to InnoDB, or let nobody"
        " write meanwhile.",
    )
