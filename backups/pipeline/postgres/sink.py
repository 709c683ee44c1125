"""A PostgreSQL server as a sink: a dump goes into a new database, which takes its name at last."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
from psycopg import sql

from backups.pipeline.errors import LackingError, RestoreError
from backups.pipeline.ports import Stream
from backups.pipeline.postgres import sentences, sessions
from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.postgres.load import Psql
from backups.pipeline.postgres.script import Script

_RESTORING = "__restoring_"
_REPLACED = "__replaced_"
_KEPT_BYTES = 63 - len(_RESTORING) - 8
_EXCHANGES = 5
_SAME = """
    SELECT pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype,
           coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') AS provider,
           coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', '') AS locale,
           pg_get_userbyid(datdba) AS owner, pg_has_role(datdba, 'USAGE') AS ours
      FROM pg_database d WHERE datname = %s
"""
_PROVIDERS = {"i": "icu", "b": "builtin"}
_NO_LOCALE = {"LC_COLLATE": "C", "LC_CTYPE": "C"}
_NO_SUCH_LOCALE = (
    psycopg.errors.WrongObjectType,
    psycopg.errors.InvalidParameterValue,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.SyntaxError,
)


class PostgresSink:
    """Restores into the database `dbname` of a server, which need not exist.

    The data goes into a new database beside it, made from template0 with the encoding and
    collation of `traits` (the source's, from the manifest). On success that one takes the name;
    where the name is taken, `replace` must be asked for, and the former one is dropped after the
    exchange. On failure the new one is dropped. `opened` is told its name before it is made and
    `closed` when it is gone or has become the result, for `drop_restoring` after a killed process.

    `single_transaction` is for servers of our own: faster, and rows keep their order, but it
    takes a lock for each table.
    """

    def __init__(
        self,
        server: PostgresServer,
        *,
        dbname: str,
        replace: bool = False,
        traits: Mapping[str, Any] | None = None,
        single_transaction: bool = False,
        stall_seconds: float = 600,
        waiting: Callable[[str], None] | None = None,
        opened: Callable[[str], None] | None = None,
        closed: Callable[[str], None] | None = None,
    ) -> None:
        self._server = server
        self._dbname = dbname
        self._replace = replace
        self._traits = traits or {}
        self._single_transaction = single_transaction
        self._stall_seconds = stall_seconds
        self._waiting = waiting
        self._opened = opened or _nobody
        self._closed = closed or _nobody
        self.notes: list[str] = []
        """What a person should know of a restore that went well."""

    def load(self, stream: Stream, *, before_commit: Callable[[], None] | None = None) -> None:
        """Restore the whole stream; raises RestoreError before its first byte where it can."""
        with self._session() as connection:
            existing = self._existing(connection)
        mark = secrets.token_hex(4)
        temporary = _beside(self._dbname, _RESTORING + mark)
        self._opened(temporary)
        try:
            self._create(temporary, existing)
            self._feed(stream, temporary)
            if before_commit:
                before_commit()
            self._take_name(temporary, _beside(self._dbname, _REPLACED + mark))
        except BaseException as error:
            self._drop_after(error, temporary)
            raise
        self._closed(temporary)

    def _session(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        return _session(self._server, avoid=self._dbname)

    def _existing(self, connection: psycopg.Connection[Any]) -> Mapping[str, str] | None:
        """The database that has the name now."""
        row = connection.execute(_SAME, [self._dbname]).fetchone()
        if row is None:
            return None
        if not self._replace:
            raise RestoreError(
                f"The server at {self._server.place} already has a database {self._dbname}.",
                remedy="Choose another name, or ask to replace it.",
                permanent=True,
            )
        *values, ours = row
        if not ours:
            raise RestoreError(
                f"User {self._server.user} may not replace {self._dbname}: another role owns it.",
                remedy="Restore as its owner or a superuser, or under another name.",
                permanent=True,
            )
        names = ("encoding", "collate", "ctype", "provider", "locale", "owner")
        return dict(zip(names, values, strict=True))

    def _create(self, name: str, existing: Mapping[str, str] | None) -> None:
        """With the locale of the source; where the server lacks it, with its own or none."""
        traits = {**(existing or {}), **self._traits}
        encoding = str(traits.get("encoding") or "UTF8")
        wanted = _locale(traits)
        with self._session() as connection:
            for locale in (wanted, {}, _NO_LOCALE):
                try:
                    connection.execute(_create_database(name, encoding, locale))
                    break
                except _NO_SUCH_LOCALE:
                    if locale is _NO_LOCALE:
                        raise
            if existing:
                connection.execute(_change_owner(name, existing["owner"]))
        if wanted and locale is not wanted:
            self.notes.append(
                f"The server at {self._server.place} lacks the collation"
                f" {traits.get('locale') or traits['collate']}; it was restored with another."
            )

    def _feed(self, stream: Stream, temporary: str) -> None:
        with self._session() as connection:
            major = connection.info.server_version // 10000
            vigilance = sessions.vigilance(connection)
        psql = Psql(
            self._server.database(temporary), major, f"backdrop restore {secrets.token_hex(4)}"
        )
        script = Script(stream, server_major=major, restricts=psql.restricts)
        psql.lines_before = script.lines_before
        load = psql.start(
            vigilance=vigilance,
            single_transaction=self._single_transaction,
            stall_seconds=self._stall_seconds,
            waiting=self._waiting,
        )
        try:
            load.run(script)
        finally:
            load.close()

    def _take_name(self, temporary: str, replaced: str) -> None:
        """Give the new database its name, in the same instant as the former one loses it."""
        with self._session() as connection:
            if self._existing(connection) is None:
                connection.execute(_rename(temporary, self._dbname))
                return
            self._exchange(connection, temporary, replaced)
            try:
                _drop(connection, replaced)
            except psycopg.Error:  # a replication slot, say: no reason to call it a failure
                self.notes.append(
                    f"The former database could not be dropped; it is called {replaced} now."
                )

    def _exchange(self, connection: psycopg.Connection[Any], temporary: str, replaced: str) -> None:
        """Ends the sessions of the former database and renames both, in one transaction.

        The rename waits up to five seconds for the sessions to be gone, and keeps new ones out
        meanwhile; only one that comes between the two statements makes it fail.
        """
        statements = (
            _end_sessions(self._dbname),
            _rename(self._dbname, replaced),
            _rename(temporary, self._dbname),
        )
        for left in reversed(range(_EXCHANGES)):
            try:
                connection.execute(sql.SQL("; ").join(statements))
                return
            except psycopg.errors.ObjectInUse:
                if not left:
                    raise

    def _drop_after(self, error: BaseException, temporary: str) -> None:
        """Drop what was begun; the first failure is what gets told."""
        try:
            drop_restoring(self._server, temporary)
        except RestoreError:
            error.add_note(f"The database {temporary} could not be dropped; drop it by hand.")
        else:
            self._closed(temporary)


def drop_restoring(server: PostgresServer, name: str) -> None:
    """Drop what a restore left: the database it had begun, or the one that it had replaced.
    Idempotent; raises RestoreError."""
    if _RESTORING not in name:
        raise ValueError(f"{name} is not a database that a restore began.")
    with _session(server, avoid=name) as connection:
        _drop(connection, name)
        _drop(connection, name.replace(_RESTORING, _REPLACED))


@contextmanager
def _session(server: PostgresServer, *, avoid: str) -> Iterator[psycopg.Connection[Any]]:
    """Commands of our own; what the server says against them becomes a RestoreError."""
    try:
        with _connect(server, avoid=avoid) as connection:
            yield connection
    except psycopg.Error as error:
        told = sentences.restoring(server, str(error))
        kind = LackingError if told.lacking else RestoreError
        raise kind(told.sentence, remedy=told.remedy, permanent=told.permanent) from None


def _connect(server: PostgresServer, *, avoid: str) -> psycopg.Connection[Any]:
    """A session in another database than the one whose name is about to change."""
    candidates = [name for name in ("postgres", server.dbname, "template1") if name != avoid]
    for last, name in enumerate(candidates, 1):
        try:
            return server.database(name).connect("backdrop restore")
        except psycopg.OperationalError as error:
            elsewhere = re.search('database "|pg_hba|permission denied for database', str(error))
            if not elsewhere or last == len(candidates):
                raise
    raise AssertionError("unreachable")


def _beside(dbname: str, suffix: str) -> str:
    """A name next to that one, within PostgreSQL's length; it begins the same with any suffix."""
    kept = dbname.encode()[:_KEPT_BYTES].decode(errors="ignore")
    return kept + suffix


def _locale(traits: Mapping[str, Any]) -> dict[str, str]:
    """The options of CREATE DATABASE that ask for that locale; none where it is not known."""
    if not traits.get("collate"):
        return {}
    options = {"LC_COLLATE": str(traits["collate"]), "LC_CTYPE": str(traits["ctype"])}
    if provider := _PROVIDERS.get(str(traits.get("provider"))):
        name = "ICU_LOCALE" if provider == "icu" else "BUILTIN_LOCALE"
        options |= {"LOCALE_PROVIDER": provider, name: str(traits["locale"])}
    return options


def _create_database(name: str, encoding: str, locale: Mapping[str, str]) -> sql.Composed:
    options = {"TEMPLATE": "template0", "ENCODING": encoding, **locale}
    return sql.SQL("CREATE DATABASE {} {}").format(
        sql.Identifier(name),
        sql.SQL(" ").join(
            sql.SQL("{} = {}").format(sql.SQL(option), sql.Literal(value))
            for option, value in options.items()
        ),
    )


def _drop(connection: psycopg.Connection[Any], name: str) -> None:
    """With the sessions in it, of which a server below version 13 has to be told apart."""
    force = sql.SQL(" WITH (FORCE)" if connection.info.server_version >= 130000 else "")
    connection.execute(_end_sessions(name))
    drop = sql.SQL("DROP DATABASE IF EXISTS {}{}")
    connection.execute(drop.format(sql.Identifier(name), force))


def _end_sessions(name: str) -> sql.Composed:
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
    return sql.SQL(end).format(sql.Literal(name))


def _rename(name: str, to: str) -> sql.Composed:
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    return rename.format(sql.Identifier(name), sql.Identifier(to))


def _change_owner(name: str, owner: str) -> sql.Composed:
    alter = sql.SQL("ALTER DATABASE {} OWNER TO {}")
    return alter.format(sql.Identifier(name), sql.Identifier(owner))


def _nobody(name: str) -> None:
    """Nobody is told."""
