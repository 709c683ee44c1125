"""Our sessions on the server, seen and ended through a second connection."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

import psycopg

from backups.pipeline.postgres.connection import PostgresServer

_LOOK = """
    SELECT coalesce(mine.state, ''), coalesce(mine.wait_event_type, ''),
           coalesce(mine.wait_event, ''), left(coalesce(mine.query, ''), 100),
           (SELECT string_agg(DISTINCT coalesce(lock.relation::regclass::text, lock.locktype), ', ')
              FROM pg_locks lock WHERE lock.pid = mine.pid AND NOT lock.granted),
           (SELECT string_agg(format('process %%s (%%s, user %%s): %%s', other.pid,
                       coalesce(nullif(other.application_name, ''), 'no name'), other.usename,
                       left(other.query, 80)), '; ')
              FROM pg_stat_activity other
             WHERE other.pid = ANY (pg_blocking_pids(mine.pid)))
      FROM pg_stat_activity mine
     WHERE mine.application_name = %s AND mine.pid <> pg_backend_pid()
"""
_BRIEF = "-c statement_timeout=3000"
_END = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE application_name = %s AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one of our sessions is at."""

    state: str
    waits_for: str
    """The kind of thing that it waits for: `Lock`, `Client`, `IO`, …"""
    event: str
    query: str
    locked: str
    blockers: str

    @property
    def waits_for_lock(self) -> bool:
        return self.waits_for == "Lock"

    @property
    def works(self) -> bool:
        """Neither waits for a lock nor for its client: it is only slow."""
        return self.state == "active" and self.waits_for not in ("Lock", "Client")

    def __str__(self) -> str:
        if self.waits_for_lock:
            blockers = f", held by {self.blockers}" if self.blockers else ""
            return f"it waits for a lock on {self.locked or 'a table'}{blockers}"
        if self.works:
            return f"the server is at work: {self.query}"
        return (
            f"the server's session is {self.state or 'there'} ({self.event or 'waits for nothing'})"
        )


def vigilance(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """The setting by which a server notices that its client has vanished, even while it waits
    for a lock; nothing where it is too old for that or its system has no means."""
    try:
        connection.execute("SET client_connection_check_interval = '1s'")
    except psycopg.Error:
        return {}
    return {"client_connection_check_interval": "1s"}


def options(*settings: dict[str, str]) -> str:
    """libpq's `options` that begin a session with those settings."""
    return " ".join(f"-c {name}={value}" for each in settings for name, value in each.items())


def look(server: PostgresServer, application: str) -> Sighting | None:
    """The session of that name; None where the server has none. Raises psycopg's errors."""
    with server.connect(f"{application} watch", options=_BRIEF) as connection:
        row = connection.execute(_LOOK, [application]).fetchone()
    return _sighting(*row) if row else None


def end(server: PostgresServer, application: str, *, seconds: float = 1.5) -> bool:
    """End the sessions of that name; whether none is left. Never raises for the server's sake."""
    try:
        with server.connect(f"{application} end", options=_BRIEF) as connection:
            return _end(connection, application, time.monotonic() + seconds)
    except psycopg.Error:
        return False


def _end(connection: psycopg.Connection[Any], application: str, deadline: float) -> bool:
    while time.monotonic() < deadline:
        row = connection.execute(_END, [application]).fetchone()
        if row is None or row[0] == 0:
            return True
        time.sleep(0.02)
    return False


def _sighting(
    state: str, waits_for: str, event: str, query: str, locked: str | None, blockers: str | None
) -> Sighting:
    return Sighting(
        state=state,
        waits_for=waits_for,
        event=event,
        query=_shown(query),
        locked=locked or "",
        blockers=_shown(blockers or ""),
    )


def _shown(query: str) -> str:
    """In one line, without what stands in quotes: that may be data, or a password."""
    return " ".join(re.sub(r"'[^']*('|$)", "'…'", query).split())
