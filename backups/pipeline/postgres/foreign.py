r"""Dumps of which we don't know who made them, restored into a server that is thrown away.

A dump is a program. What one may not do here, and why not:

- run psql's commands (`\!`, `\copy`, `\o`): psql is restricted by a key of ours, and where no psql
  that can be is installed nothing is restored;
- run programs or touch files by the server, or change its settings (`COPY … FROM PROGRAM`,
  `ALTER SYSTEM`, `CREATE EXTENSION` of what isn't trusted): its role is no superuser and in none of
  the roles that may;
- reach other data by the server's process: that runs under an account of its own;
- fill the disk: it is stopped while there is still room.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from psycopg import sql

from backups.pipeline import flow
from backups.pipeline.compression import COMPRESSIONS
from backups.pipeline.errors import CorruptError, LackingError, PipelineError, RestoreError
from backups.pipeline.ports import Block, Stream
from backups.pipeline.postgres import archive, binaries, scratch, sessions
from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.postgres.load import Psql
from backups.pipeline.postgres.room import Room
from backups.pipeline.postgres.script import Script
from backups.pipeline.scratch import free_bytes

DBNAME = "dump"
ROOM = 2
"""Bytes of disk that a restored database may take for each byte of its dump, indexes and all."""
TABLES = 1000
_BLOCK = 1 << 20
_HEAD = 8192
_RESTORER = "backdrop_restorer"
_CREW = "backdrop_crew"
_STALL_SECONDS = 600.0
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_FROM = re.compile(rb"^-- Dumped from database version (\d+[^\s(]*)", re.MULTILINE)
_BY = re.compile(rb"^-- Dumped by pg_dump version ((\d+)[^\s(]*)", re.MULTILINE)
_MYSQL = re.compile(rb"^-- (?:MySQL|MariaDB) dump|^/\*M?!", re.MULTILINE)
_NAME = rb'("(?:[^"\n]|"")+"|[A-Za-z_][\w$]*)'
_ROLES = re.compile(
    rb"^-- Name: [^\n]*; Owner: ([^\n]+)$"
    rb"|^ALTER [^\n]* OWNER TO " + _NAME + rb";$"
    rb"|^(?:GRANT|REVOKE) [^\n]* (?:TO|FROM) " + _NAME + rb"(?: WITH GRANT OPTION)?;$"
    rb"|^ALTER DEFAULT PRIVILEGES FOR ROLE "
    + _NAME
    + rb" [^\n]*?(?:(?:TO|FROM) "
    + _NAME
    + rb")?;$",
    re.MULTILINE,
)
_MOST_ROLES = 1000
_COUNT = """
    SELECT n.nspname, c.relname, pg_table_size(c.oid) FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND n.nspname NOT LIKE 'pg_toast%' ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a dump says of itself, and what it needs."""

    archive: bool
    dumped_from: str
    dumped_by: str
    major: int
    raw_bytes: int
    roles: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Report:
    """What came of it."""

    look: Look
    server_version: str = ""
    database_bytes: int = 0
    tables: list[dict[str, Any]] = field(default_factory=list)
    more_tables: int = 0

    @property
    def rows(self) -> int:
        return sum(int(table["rows"]) for table in self.tables)


class Foreign:
    """A dump in a file: plain SQL or pg_dump's custom archive, perhaps in gzip or zstd."""

    def __init__(self, path: Path, watcher: flow.Watcher) -> None:
        self._path = path
        self._watcher = watcher
        with path.open("rb") as file:
            head = file.read(4)
        self._packing = next(
            (name for magic, name in _MAGIC.items() if head.startswith(magic)), "none"
        )

    def look(self) -> Look:
        """Read all of it before any of it is run. CorruptError for what is no whole dump of
        PostgreSQL, RestoreError where there is no room for it."""
        self._watcher.message("Looking at the dump")
        head = self._head()
        if head.startswith(b"PGDMP"):
            told = archive.contents(self._raw())
        elif _BY.search(head):
            told = head
        else:
            raise _no_dump(head)
        found = _BY.search(told)
        if found is None:
            raise _no_dump(head)
        origin = _FROM.search(told)
        size, roles = self._scan(is_archive=head.startswith(b"PGDMP"))
        return Look(
            archive=head.startswith(b"PGDMP"),
            dumped_from=origin[1].decode() if origin else "",
            dumped_by=found[1].decode(),
            major=int(found[2]),
            raw_bytes=size,
            roles=roles,
        )

    def script(self, look: Look) -> Stream:
        """The statements, whatever it is stored as."""
        return archive.script(self._raw()) if look.archive else self._raw()

    def _head(self) -> bytes:
        head = b""
        for block in self._raw():
            head += block
            if len(head) >= _HEAD:
                break
        return head[:_HEAD]

    def _raw(self) -> Stream:
        return COMPRESSIONS[self._packing].decompress(_Blocks(self._path))

    def _scan(self, *, is_archive: bool) -> tuple[int, tuple[str, ...]]:
        """Size and roles of the statements; stops where there'd be no room for what they make."""
        room = free_bytes() // ROOM
        size = 0
        roles: set[str] = set()
        kept = b""
        for block in archive.script(self._raw()) if is_archive else self._raw():
            size += len(block)
            self._watcher.progress(size, None)
            if size > room:
                raise RestoreError(
                    f"The dump is larger than {room} bytes once unpacked, for which a server to "
                    "try it in has no room.",
                    remedy="Make room on the disk of the workers.",
                    permanent=True,
                )
            text = kept + bytes(block)
            roles.update(_decoded(each) for found in _ROLES.findall(text) for each in found if each)
            if len(roles) > _MOST_ROLES:
                raise CorruptError(f"The dump names more than {_MOST_ROLES} roles.")
            end = text.rfind(b"\n")
            kept = text[end:] if end >= 0 and len(text) - end < _HEAD else b""
        return size, tuple(sorted(roles - {"PUBLIC", "-", ""}))


@dataclass(frozen=True, slots=True)
class _Blocks:
    path: Path

    def __iter__(self) -> Iterator[Block]:
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block


def _decoded(name: bytes) -> str:
    text = name.decode("utf-8", "replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def _no_dump(head: bytes) -> CorruptError:
    if _MYSQL.search(head):
        return CorruptError(
            "This is a dump of MySQL or MariaDB.", remedy="Only those of PostgreSQL are restored."
        )
    return CorruptError(
        "This is no dump of PostgreSQL: pg_dump's own first lines are missing.",
        remedy="Send what pg_dump wrote, plain or as a custom archive (-Fc).",
    )


@contextmanager
def restored(path: Path, watcher: flow.Watcher) -> Iterator[tuple[scratch.ScratchPostgres, Report]]:
    """A server that lives as long as this, with the dump restored into its database `DBNAME`.

    Raises CorruptError, RestoreError, LackingError.
    """
    dump = Foreign(path, watcher)
    report = Report(look=dump.look())
    watcher.message("Starting a scratch server")
    with scratch.ScratchPostgres(
        binaries.server_for(report.look.major),
        settings={"temp_file_limit": "10GB"},
        opened=lambda folder: watcher.opened("scratch", folder=folder),
        closed=lambda folder: watcher.closed("scratch", folder=folder),
    ) as server:
        restorer = _prepare(server, report.look.roles)
        with Room(server) as room:
            try:
                _load(restorer, dump, report.look, watcher)
            except PipelineError:
                room.check()
                raise
            room.check()
            watcher.message("Counting rows")
            _measure(server, report)
            yield server, report


def _prepare(server: scratch.ScratchPostgres, roles: tuple[str, ...]) -> PostgresServer:
    """A database, and a role that may do in it what a dump needs, and nothing else anywhere.

    The dump's own roles, `postgres` among them, are made anew without any power; the server's
    superuser gives that name up. All of them own the database, by a group.
    """
    password = secrets.token_urlsafe(24)
    server.rename_superuser(f"backdrop_{secrets.token_hex(4)}")
    crew, restorer = sql.Identifier(_CREW), sql.Identifier(_RESTORER)
    with server.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(crew))
        made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}")
        connection.execute(made.format(restorer, sql.Literal(password), crew))
    names = [name for name in roles if not name.startswith(("pg_", "backdrop_"))]
    server.create_missing_roles([*names, "postgres"])
    with server.connect() as connection:
        for name in {*names, "postgres"}:
            role = sql.Identifier(name)
            connection.execute(sql.SQL("GRANT {} TO {}").format(crew, role))
            connection.execute(sql.SQL("GRANT {} TO {}").format(role, restorer))
        create = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0")
        connection.execute(create.format(sql.Identifier(DBNAME), crew))
    return replace(server.server(DBNAME), user=_RESTORER, password=password)


def _load(restorer: PostgresServer, dump: Foreign, look: Look, watcher: flow.Watcher) -> None:
    with restorer.connect("backdrop restore") as connection:
        major = connection.info.server_version // 10000
        vigilance = sessions.vigilance(connection)
    if not binaries.psql_for(major).restricts:
        raise LackingError(
            "No installed psql can be kept from running commands that it finds in a dump.",
            remedy="Install postgresql-client of a release since August 2025.",
        )
    psql = Psql(restorer, major, f"backdrop restore {secrets.token_hex(4)}")
    stream = flow.Reported(dump.script(look), watcher, "Restoring", look.raw_bytes)
    script = Script(stream, server_major=major, restricts=psql.restricts)
    psql.lines_before = script.lines_before
    load = psql.start(
        vigilance=vigilance,
        single_transaction=False,
        stall_seconds=_STALL_SECONDS,
        waiting=watcher.message,
    )
    try:
        load.run(script)
    finally:
        load.close()


def _measure(server: scratch.ScratchPostgres, report: Report) -> None:
    """Nothing of the dump's is run for it: names are told in full, by a path of our own."""
    with server.connect(DBNAME) as connection:
        connection.execute("SET search_path = pg_catalog")
        report.server_version = connection.info.parameter_status("server_version") or ""
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        report.database_bytes = int(row[0]) if row else 0
        tables = connection.execute(_COUNT).fetchall()
        report.more_tables = max(0, len(tables) - TABLES)
        for schema, name, size in tables[:TABLES]:
            count = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, name))
            (rows,) = connection.execute(count).fetchone() or (0,)
            report.tables.append({"table": f"{schema}.{name}", "rows": rows, "bytes": size})


def owned_by(server: scratch.ScratchPostgres, look: Look, user: str) -> None:
    """Give all that the dump made to one role of that name, and take what others were granted:
    who restores it elsewhere needs none of the dump's roles there."""
    server.create_missing_roles([user])
    names = [name for name in look.roles if not name.startswith(("pg_", "backdrop_"))]
    to = sql.Identifier(user)
    with server.connect(DBNAME) as connection:
        for name in dict.fromkeys([*names, "postgres", _RESTORER, _CREW]):
            if name == user:
                continue
            role = sql.Identifier(name)
            connection.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(role, to))
            connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
