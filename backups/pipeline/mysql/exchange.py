"""How the tables of a hidden database come under their final name, and back when that fails."""

from __future__ import annotations

from collections.abc import Callable

from backups.pipeline.mysql import catalogue, programs
from backups.pipeline.mysql.connection import Connection, quoted
from backups.pipeline.mysql.naming import Names


class Exchange:
    """Moves the tables of `names.hidden` into `dbname`, and what was there to `names.replaced`.

    A table called `names.marker` says, to `drop_restoring` after a killed process, which database
    is not finished.
    """

    def __init__(self, dbname: str, names: Names, *, former: bool) -> None:
        self._dbname = dbname
        self._names = names
        self._former = former
        self._triggers: list[tuple[str, str]] = []
        self._begun = False
        self._moved = False

    def move(self, connected: Connection, create: Callable[[], None]) -> None:
        """`create` makes the database where there was none."""
        catalogue.query(connected, "SET SESSION foreign_key_checks = 0")
        new = programs.tables(connected, self._names.hidden)
        self._begun = True
        if self._former:
            self._make_marker(connected, self._names.hidden)
            moves = self._aside(connected)
            moves += self._renamed(self._names.hidden, self._dbname, [*new, self._names.marker])
        else:
            create()
            self._make_marker(connected, self._dbname)
            moves = self._renamed(self._names.hidden, self._dbname, new)
        if moves:
            catalogue.query(connected, f"RENAME TABLE {', '.join(moves)}")
        self._moved = True
        self._ask_here(connected)
        if self._former:
            programs.drop_others(connected, self._dbname)

    def finish(self, connected: Connection) -> None:
        """All is there: remove the marker, what it was moved from, and what was there before."""
        catalogue.query(connected, f"DROP TABLE {_at(self._dbname, self._names.marker)}")
        for name in (self._names.hidden, *([self._names.replaced] if self._former else [])):
            catalogue.query(connected, f"DROP DATABASE IF EXISTS {quoted(name)}")

    def undo(self, connected: Connection) -> str:
        """Remove what was made; what a person must know of what stayed."""
        if not self._begun:
            return ""
        if not self._former:
            catalogue.query(connected, f"DROP DATABASE IF EXISTS {quoted(self._dbname)}")
            return ""
        if self._moved:
            return (
                f"{self._dbname} has the restored tables, but not all of its views, triggers and"
                f" routines; its former tables are in {self._names.replaced}."
            )
        self._restore_triggers(connected)
        catalogue.query(connected, f"DROP DATABASE IF EXISTS {quoted(self._names.replaced)}")
        return ""

    def _ask_here(self, connected: Connection) -> None:
        """Defaults that ask a sequence go on naming the database that it was moved from."""
        here, there = quoted(self._names.hidden), quoted(self._dbname)
        asking = catalogue.asking_defaults(connected, self._dbname, self._names.hidden)
        for table, column, default in asking:
            asked = default.replace(f"({here}.", f"({there}.")
            catalogue.query(
                connected,
                f"ALTER TABLE {_at(self._dbname, table)}"
                f" ALTER COLUMN {quoted(column)} SET DEFAULT ({asked})",
            )

    def _aside(self, connected: Connection) -> list[str]:
        """The former tables leave; their triggers, which can't, are dropped before."""
        former = programs.tables(connected, self._dbname)
        catalogue.query(connected, f"CREATE DATABASE {quoted(self._names.replaced)}")
        self._triggers = programs.trigger_statements(connected, self._dbname)
        programs.drop_triggers(connected, self._dbname)
        return self._renamed(self._dbname, self._names.replaced, former)

    def _restore_triggers(self, connected: Connection) -> None:
        if self._triggers:
            catalogue.query(connected, f"USE {quoted(self._dbname)}")
            programs.drop_triggers(connected, self._dbname)
        for mode, statement in self._triggers:
            catalogue.query(connected, "SET SESSION sql_mode = %s", [mode])
            catalogue.query(connected, statement)

    def _make_marker(self, connected: Connection, dbname: str) -> None:
        catalogue.query(connected, f"CREATE TABLE {_at(dbname, self._names.marker)} (a int)")

    @staticmethod
    def _renamed(here: str, there: str, tables: list[str]) -> list[str]:
        return [f"{_at(here, table)} TO {_at(there, table)}" for table in tables]


def _at(dbname: str, table: str) -> str:
    return f"{quoted(dbname)}.{quoted(table)}"
