"""A MySQL or MariaDB server as a sink: a dump goes into a hidden database, whose tables move."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pymysql

from backups.pipeline.errors import LackingError, RestoreError
from backups.pipeline.mysql import binaries, catalogue, programs, sentences, sessions
from backups.pipeline.mysql.connection import Connection, MysqlServer, quoted
from backups.pipeline.mysql.exchange import Exchange
from backups.pipeline.mysql.load import MysqlClient
from backups.pipeline.mysql.naming import Names
from backups.pipeline.mysql.script import Moved, Script
from backups.pipeline.ports import Stream

_STATEMENT_SECONDS = 600.0


class MysqlSink:
    """Restores into the database `dbname` of a server, which need not exist.

    No server renames a database. So the whole dump goes into a hidden one beside it, made with
    the character set of `traits` (the source's, from the manifest), views, triggers, routines and
    events included: what the server does not take it refuses there. Then `before_commit` is asked,
    the database is made under its name, one RENAME TABLE moves all tables and sequences into it,
    and what can't be moved (views, triggers, routines, events) is written down from the hidden
    database and loaded again. On failure both databases are dropped.

    Where the name is taken, `replace` must be asked for. Then that one RENAME also moves the
    former tables aside, so that others see either the former tables or the new ones, and grants
    on the database stay. Should the rest fail after that (it was taken once already), the former
    tables are kept under the name that the error tells.

    `opened` is told the hidden name before it is made and `closed` when it is gone, for
    `drop_restoring` after a killed process. `direct` is for servers of our own: straight into the
    database.
    """

    def __init__(
        self,
        server: MysqlServer,
        *,
        dbname: str,
        replace: bool = False,
        traits: Mapping[str, Any] | None = None,
        direct: bool = False,
        stall_seconds: float = 600,
        waiting: Callable[[str], None] | None = None,
        opened: Callable[[str], None] | None = None,
        closed: Callable[[str], None] | None = None,
    ) -> None:
        self._server = server.database("")
        self._dbname = dbname
        self._replace = replace
        self._traits = traits or {}
        self._direct = direct
        self._stall_seconds = stall_seconds
        self._waiting = waiting
        self._opened = opened or _nobody
        self._closed = closed or _nobody
        self.notes: list[str] = []
        """What a person should know of a restore that went well."""

    def load(self, stream: Stream, *, before_commit: Callable[[], None] | None = None) -> None:
        """Restore the whole stream; raises RestoreError before its first byte where it can."""
        with _session(self._server) as connected:
            existing = self._existing(connected)
            client = binaries.client_for(_flavour(connected))
        if self._direct:
            self._create(self._dbname, None)
            self._feed(Script(stream), client, self._dbname)
            return
        names = Names.beside(self._dbname, secrets.token_hex(4))
        self._opened(names.hidden)
        try:
            self._create(names.hidden, existing)
            self._feed(Script(self._moved(stream, names.hidden)), client, names.hidden)
            if before_commit:
                before_commit()
            self._take_name(names, client)
        except BaseException as error:
            self._drop_after(error, names.hidden)
            raise
        self._closed(names.hidden)

    def _existing(self, connected: Connection) -> catalogue.Schema | None:
        """The database that has the name now."""
        found = catalogue.schema(connected, self._dbname)
        if found and not self._replace:
            raise RestoreError(
                f"The server at {self._server.place} already has a database {self._dbname}.",
                remedy="Choose another name, or ask to replace it.",
                permanent=True,
            )
        return found

    def _create(self, name: str, existing: catalogue.Schema | None) -> None:
        """With the character set of the source; where the server lacks it, with its own."""
        charset = self._traits.get("charset") or (existing.charset if existing else "")
        collation = self._traits.get("collation") or (existing.collation if existing else "")
        create = f"CREATE DATABASE {quoted(name)}"
        with _session(self._server) as connected:
            if charset and collation:
                try:
                    chosen = f"{create} CHARACTER SET {_word(charset)} COLLATE {_word(collation)}"
                    catalogue.query(connected, chosen)
                    return
                except pymysql.MySQLError as error:
                    if "Unknown" not in str(error):
                        raise
                self.notes.append(
                    f"The server at {self._server.place} lacks the collation {collation}; new"
                    " tables of the database will have another."
                )
            catalogue.query(connected, create)

    def _feed(self, script: Stream, client: binaries.Client, dbname: str) -> None:
        with _session(self._server) as connected:
            after = sessions.latest(connected)
        server = self._server.database(dbname)
        fed = MysqlClient(server, client, sessions.Session(server, after=after))
        with fed.start(stall_seconds=self._stall_seconds, waiting=self._waiting) as load:
            load.run(script)

    def _moved(self, stream: Stream, hidden: str) -> Stream:
        former = str(self._traits.get("dbname", ""))
        if not (former and self._traits.get("asking_defaults")):
            return stream
        return Moved(stream, quoted(former).encode(), quoted(hidden).encode())

    def _take_name(self, names: Names, client: binaries.Client) -> None:
        with _session(self._server) as connected:
            existing = self._existing(connected)
            hidden = self._server.database(names.hidden)
            written = programs.written(connected, hidden, client)
            self.notes += self._unknown_definers(connected, names.hidden)
            programs.drop_triggers(connected, names.hidden)
        exchange = Exchange(self._dbname, names, former=existing is not None)
        try:
            with _session(self._server) as connected:
                exchange.move(connected, lambda: self._create(self._dbname, None))
            for text in written:
                self._feed([text], client, self._dbname)
            with _session(self._server) as connected:
                exchange.finish(connected)
        except BaseException as error:
            self._undo(exchange, error)
            raise

    def _undo(self, exchange: Exchange, error: BaseException) -> None:
        """The first failure is what gets told."""
        try:
            with _session(self._server) as connected:
                kept = exchange.undo(connected)
        except RestoreError:
            kept = f"What was made as {self._dbname} could not be removed; look at it."
        if kept:
            error.add_note(kept)
            if isinstance(error, RestoreError):
                error.remedy = f"{kept} {error.remedy}".strip()

    def _unknown_definers(self, connected: Connection, dbname: str) -> list[str]:
        """A view or routine whose definer does not exist can be made, but not used."""
        try:
            known = catalogue.names(connected, "SELECT concat(user, '@', host) FROM mysql.user")
        except pymysql.MySQLError:  # only administrators may look
            return []
        missing = sorted(set(catalogue.definers(connected, dbname)) - set(known))
        if not missing:
            return []
        return [
            f"The server at {self._server.place} has no user {', '.join(missing)}, in whose name"
            " views, triggers or routines of the backup run: create that user, or they fail."
        ]

    def _drop_after(self, error: BaseException, hidden: str) -> None:
        """Drop what was begun; the first failure is what gets told."""
        try:
            with _session(self._server) as connected:
                _drop(connected, hidden)
        except RestoreError:
            error.add_note(f"The database {hidden} could not be dropped; drop it by hand.")
        else:
            self._closed(hidden)


def drop_restoring(server: MysqlServer, name: str) -> None:
    """Drop what a restore left: the hidden database, and the one that it had begun to fill under
    the final name, or the former one that was replaced. Where it died between exchanging the
    tables and loading what belongs to them, both stay under their names: neither is whole.
    Idempotent; raises RestoreError."""
    names = Names.of(name)
    with _session(server.database("")) as connected:
        unfinished = catalogue.names(
            connected,
            "SELECT table_schema FROM information_schema.tables"
            " WHERE table_name = %s AND table_schema <> %s",
            [names.marker, names.hidden],
        )
        replacing = catalogue.schema(connected, names.replaced) is not None
        _drop(connected, names.hidden)
        if replacing and not unfinished:
            _drop(connected, names.replaced)
        if unfinished and not replacing:
            _drop(connected, unfinished[0])


@contextmanager
def _session(server: MysqlServer) -> Iterator[Connection]:
    """Commands of our own; what the server says against them becomes a RestoreError."""
    try:
        with server.connect(answer_seconds=_STATEMENT_SECONDS) as connected:
            yield connected
    except (pymysql.MySQLError, OSError) as error:
        told = sentences.restoring(server, str(error))
        kind = LackingError if told.lacking else RestoreError
        raise kind(told.sentence, remedy=told.remedy, permanent=told.permanent) from None


def _flavour(connected: Connection) -> str:
    return "mariadb" if "mariadb" in catalogue.version(connected).lower() else "mysql"


def _drop(connected: Connection, name: str) -> None:
    catalogue.query(connected, f"DROP DATABASE IF EXISTS {quoted(name)}")


def _word(text: Any) -> str:
    """A character set or collation, which stands unquoted."""
    word = str(text)
    if not word.replace("_", "").isalnum():
        raise RestoreError(f"The manifest names no character set: {word}.", permanent=True)
    return word


def _nobody(name: str) -> None:
    """Nobody is told."""
