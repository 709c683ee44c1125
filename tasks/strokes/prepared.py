"""Statements that a session of PostgreSQL parses and plans once: for ours that costs more than to
run them.

A name tells the text that it stands for. So where a pooling proxy lends one session to many, nobody
ever runs another's statement by mistake; he may find that the session knows his name already, or
not any more, and from then on this process prepares nothing. Within a transaction, where such a
refusal would cost more than the statement, nothing is prepared either.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError, connection

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

logger = logging.getLogger(__name__)

PLAN_SECONDS = 10.0
"""After which plans are made anew: a table may have grown a thousandfold since."""

_NOT_KNOWN, _KNOWN_ALREADY, _OUTDATED = "26000", "42P05", "0A000"  # SQLSTATE


class Statement:
    """`sql` has %s for each value, of a type that the server can tell from its place."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.name = f"backdrop_{hashlib.sha256(sql.encode()).hexdigest()[:16]}"
        pieces = sql.replace("%%", "%").split("%s")
        numbered = "".join(f"{piece}${number}" for number, piece in enumerate(pieces[:-1], 1))
        self.prepare = f"PREPARE {self.name} AS {numbered}{pieces[-1]}"
        self.execute = f"EXECUTE {self.name}"
        if len(pieces) > 1:
            self.execute += f"({', '.join(['%s'] * (len(pieces) - 1))})"


@dataclass(slots=True)
class _Session:
    """What we know of one session."""

    used: set[str] = field(default_factory=set)
    prepared: set[str] = field(default_factory=set)
    planned: float = field(default_factory=time.monotonic)


_sessions: WeakKeyDictionary[Any, _Session] = WeakKeyDictionary()
_lent = False  # sessions come and go under our hands: prepare nothing


def run(cursor: CursorWrapper, statement: Statement, values: Sequence[Any]) -> None:
    """Execute it; prepared from its second time in this session on."""
    if _lent or connection.in_atomic_block:
        cursor.execute(statement.sql, values)
        return
    try:
        if _ready(cursor, statement):
            cursor.execute(statement.execute, values)
            return
    except DatabaseError as error:
        _take_in(error, cursor)  # raises, or nothing has been done yet
    cursor.execute(statement.sql, values)


def _ready(cursor: CursorWrapper, statement: Statement) -> bool:
    """Whether this session has the statement; what is used but once isn't worth it."""
    connection.ensure_connection()
    session = _sessions.setdefault(connection.connection, _Session())
    if statement.name in session.prepared:
        if time.monotonic() > session.planned + PLAN_SECONDS:
            cursor.execute("DISCARD PLANS")
            session.planned = time.monotonic()
        return True
    if statement.name not in session.used:
        session.used.add(statement.name)
        return False
    cursor.execute(statement.prepare)
    session.prepared.add(statement.name)
    return True


def _take_in(error: DatabaseError, cursor: CursorWrapper) -> None:
    """Learn from a refusal that came before the statement was run; raises any other error."""
    global _lent  # noqa: PLW0603 (true of all sessions of this process)
    state = getattr(error.__cause__, "sqlstate", None)
    if state in (_NOT_KNOWN, _KNOWN_ALREADY):
        _lent = True
        logger.info("Sessions are lent by a pooling proxy: no statements are prepared")
    elif state == _OUTDATED:  # a column has changed its type
        cursor.execute("DEALLOCATE ALL")
        _sessions.pop(connection.connection, None)
    else:
        raise error


def literal(sql: str, values: Sequence[Any]) -> str:
    """The same with its values in place, for those that never change: a plan can then use an index
    that is limited to some of them."""
    import psycopg

    connection.ensure_connection()
    text = psycopg.ClientCursor(connection.connection).mogrify(sql, values)
    return text.replace("%", "%%")
