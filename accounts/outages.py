"""Which errors of the database mean that it can't be used just now, and not that we are wrong."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError


@dataclass(frozen=True, slots=True)
class Outage:
    """What to tell whoever asked."""

    status: int
    """Of HTTP."""
    told: str
    retry_after: int | None = None
    """Seconds; None where to ask again is of no use."""


AWAY = Outage(503, "Backdrop's own database can't be used just now. Try again in a moment.", 5)
FULL = Outage(507, "There is no room left where Backdrop's own database is. Tell who runs it.")

_SQLITE_AWAY = frozenset(
    (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
)
_NO_ROOM = "53100"
_POSTGRES_AWAY = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE: connection, rollback, resources, locks, the operator's doing."""


def outage(error: BaseException) -> Outage | None:
    """None where it is none, as for a statement that the database refuses."""
    if isinstance(error, InterfaceError):
        return AWAY
    if not isinstance(error, OperationalError):
        return None
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return FULL
        return AWAY if code in _SQLITE_AWAY else None
    state = getattr(cause, "sqlstate", None)
    if state == _NO_ROOM:
        return FULL
    return AWAY if state is None or state.startswith(_POSTGRES_AWAY) else None
