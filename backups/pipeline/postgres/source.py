"""A PostgreSQL database as a source, read through `pg_dump`."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from backups.pipeline import dumping, processes
from backups.pipeline.errors import SourceError
from backups.pipeline.ports import SourceInfo, Stream
from backups.pipeline.postgres import binaries, sentences, sessions
from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.postgres.dump import PgDump

_DATABASE = """
    SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000,
           pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba),
           to_jsonb(d) ->> 'datlocprovider',
           coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')
      FROM pg_database d WHERE datname = current_database()
"""
# From the planner's figures, since asking for the sizes of tables would wait for locks; where it
# has none yet, the whole database, indexes and all.
_SIZE = """
    SELECT coalesce(nullif(sum(relpages), 0) * current_setting('block_size')::bigint,
                    pg_database_size(current_database()))::bigint
      FROM pg_class WHERE relkind IN ('r', 'm', 't') AND oid >= 16384
"""
# Owners and grantees; the bootstrap superuser is not recorded as one.
_ROLES = """
    SELECT DISTINCT pg_get_userbyid(refobjid) FROM pg_shdepend
     WHERE refclassid = 'pg_authid'::regclass
       AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
     UNION SELECT pg_get_userbyid(10)
"""
_TABLESPACES = """
    SELECT DISTINCT spcname::text FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace
     WHERE spcname !~ '^pg_' ORDER BY 1
"""
_UNREADABLE = """
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'S') AND n.nspname !~ '^pg_'
       AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass
                          AND e.objid = c.oid AND e.deptype = 'e')
       AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
     ORDER BY 1 LIMIT 4
"""
# pg_dump pins most of what changes the text; these make the same data the same text anywhere.
_SESSION = {
    "statement_timeout": "0",
    "timezone": "UTC",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}


class PostgresSource:
    """Dumps one database as plain SQL.

    `waiting` is told, in a sentence, what the dump waits for while nothing comes. `label` becomes
    part of the name of its sessions on the server, so that people find them there.
    """

    extension = "sql"

    def __init__(
        self,
        server: PostgresServer,
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
        """Connect, find a pg_dump that fits, and see that every table may be read."""
        return self._check()[0]

    def _check(self) -> tuple[SourceInfo, dict[str, str]]:
        """What is known of the database, and the settings that its server takes."""
        try:
            with self._server.connect(self._name()) as connection:
                connection.execute("SET statement_timeout = '10s'")
                return self._describe(connection), sessions.vigilance(connection)
        except psycopg.Error as error:
            told = sentences.connecting(self._server, str(error))
            raise SourceError(told.sentence, remedy=told.remedy, permanent=told.permanent) from None

    @contextmanager
    def open(self) -> Iterator[Stream]:
        """The dump as blocks of a buffer that is used again; see `dumping.Dump` for how it ends."""
        info, vigilance = self._check()
        application = self._name()
        process = processes.start(
            self._command(int(info.traits["major"]), application, vigilance),
            env=self._server.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        dump = dumping.Dump(
            PgDump(self._server, application),
            process,
            stall_seconds=self._stall_seconds,
            lock_wait_seconds=self._lock_wait_seconds,
            waiting=self._waiting,
        )
        try:
            yield dump
        finally:
            dump.close()

    def _name(self) -> str:
        return f"backdrop {self._label or 'dump'} {secrets.token_hex(4)}"[:63]

    def _command(self, major: int, application: str, vigilance: dict[str, str]) -> list[str]:
        conninfo = self._server.conninfo(
            application_name=application, options=sessions.options(_SESSION, vigilance)
        )
        return [
            binaries.dump_for(major).program("pg_dump"),
            "--format=plain",
            "--no-password",
            f"--lock-wait-timeout={int(self._lock_wait_seconds * 1000)}",
            f"--dbname={conninfo}",
        ]

    def _describe(self, connection: psycopg.Connection[Any]) -> SourceInfo:
        version, major, encoding, collate, ctype, owner, provider, locale = _row(
            connection, _DATABASE
        )
        installation = binaries.dump_for(major)
        self._refuse_unreadable(connection)
        return SourceInfo(
            engine="postgres",
            server_version=version.split()[0],
            tool=f"pg_dump (PostgreSQL) {installation.version}",
            estimated_bytes=_row(connection, _SIZE)[0],
            traits={
                "major": major,
                "encoding": encoding,
                "collate": collate,
                "ctype": ctype,
                "provider": provider or "c",
                "locale": locale or "",
                "owner": owner,
                "roles": sorted({owner, *_names(connection, _ROLES)}),
                "tablespaces": _names(connection, _TABLESPACES),
                "dump_major": installation.major,
            },
        )

    def _refuse_unreadable(self, connection: psycopg.Connection[Any]) -> None:
        names = _names(connection, _UNREADABLE)
        if names:
            shown = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
            raise SourceError(
                f"User {self._server.user} may not read {shown} in {self._server.dbname}.",
                remedy="GRANT pg_read_all_data TO that user (PostgreSQL 14 and later), or SELECT"
                " and USAGE on what it may not read.",
                permanent=True,
            )


def _row(connection: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None  # noqa: S101 - each of these queries gives one
    return tuple(row)


def _names(connection: psycopg.Connection[Any], query: str) -> list[str]:
    return [name for (name,) in connection.execute(query.encode())]
