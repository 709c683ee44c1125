"""The session of a client program on the server, seen and ended through a second connection."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pymysql

from backups.pipeline.mysql.connection import Connection, MysqlServer

_BRIEF_SECONDS = 3.0
_CONNECTED_SECONDS = 2.0
_LATER = """
    SELECT id, host, command, time, coalesce(state, ''), left(coalesce(info, ''), 100)
      FROM information_schema.processlist
     WHERE id > %s AND id <> connection_id() AND user = substring_index(user(), '@', 1)
"""
_OTHERS = """
    SELECT id, user, command, time, left(coalesce(info, ''), 80)
      FROM information_schema.processlist
     WHERE db = %s AND id NOT IN (%s, connection_id()) AND coalesce(state, '') NOT LIKE 'Waiting%%'
     ORDER BY time DESC LIMIT 3
"""
_ESTABLISHED = "01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one of our sessions is at."""

    id: int
    command: str
    seconds: int
    """For how long it has been at that."""
    state: str
    query: str
    others: str
    """While it waits for a lock: who else is in that database."""

    @property
    def waits_for_lock(self) -> bool:
        return self.state.startswith("Waiting for") and "lock" in self.state

    @property
    def works(self) -> bool:
        """Neither waits for a lock nor for its client: it is only slow."""
        idle = self.command == "Sleep" or self.state in ("Writing to net", "Reading from net")
        return not idle and not self.waits_for_lock

    def __str__(self) -> str:
        if self.waits_for_lock:
            others = f"; in that database are {self.others}" if self.others else ""
            what = self.state.removeprefix("Waiting for ")
            return f"it waits for a lock ({what}): {self.query}{others}"
        if self.works:
            return f"the server is at work: {self.query or self.state}"
        return f"the server's session is idle ({self.state or self.command})"


class Session:
    """The one that a client program opened which was started after `latest` was asked.

    No name can be given to it. Over TCP it is known by the port that the program connected from;
    behind an address translation, and on a Unix socket, by being the only new one of that user.
    """

    def __init__(self, server: MysqlServer, *, after: int) -> None:
        self._server = server
        self._after = after
        self._port = 0
        self._id = 0

    def belongs_to(self, pid: int) -> None:
        """Look from where the program connects; must be called while it runs."""
        deadline = time.monotonic() + _CONNECTED_SECONDS
        while not self._server.socket and time.monotonic() < deadline and _lives(pid):
            if port := _local_port(pid, self._server.port):
                self._port = port
                return
            time.sleep(0.005)

    def look(self) -> Sighting | None:
        """None where the server has no such session. Raises pymysql's errors."""
        with self._server.connect(answer_seconds=_BRIEF_SECONDS) as connection:
            return self._find(connection)

    def end(self, *, seconds: float = 1.5) -> bool:
        """End it; whether it is gone. Never raises for the server's sake."""
        try:
            with self._server.connect(answer_seconds=_BRIEF_SECONDS) as connection:
                return self._end(connection, time.monotonic() + seconds)
        except (pymysql.MySQLError, OSError):
            return False

    def _find(self, connection: Connection) -> Sighting | None:
        with connection.cursor() as cursor:
            cursor.execute(_LATER, [self._after])
            rows = list(cursor.fetchall())
            mine = [row for row in rows if row[0] == self._id] or [
                row for row in rows if self._port and str(row[1]).endswith(f":{self._port}")
            ]
            if not mine and not self._id and len(rows) == 1:
                mine = rows
            if not mine:
                return None
            number, _, command, seconds, state, query = mine[0]
            self._id = int(number)
            found = Sighting(
                id=self._id,
                command=str(command),
                seconds=int(seconds),
                state=str(state),
                query=_shown(str(query)),
                others="",
            )
            if not found.waits_for_lock:
                return found
            cursor.execute(_OTHERS, [self._server.dbname, self._id])
            others = "; ".join(
                f"process {number} (user {user}, {seconds} s): {_shown(str(info)) or command}"
                for number, user, command, seconds, info in cursor.fetchall()
            )
        return Sighting(
            id=found.id,
            command=found.command,
            seconds=found.seconds,
            state=found.state,
            query=found.query,
            others=others,
        )

    def _end(self, connection: Connection, deadline: float) -> bool:
        while time.monotonic() < deadline:
            found = self._find(connection)
            if found is None:
                return True
            with suppress(pymysql.MySQLError), connection.cursor() as cursor:  # it may be gone
                cursor.execute(f"KILL {found.id}")
            time.sleep(0.02)
        return False


def latest(connection: Connection) -> int:
    """The number of that connection: sessions that begin later have a higher one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT connection_id()")
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}/fd").exists() and os.access(f"/proc/{pid}/fd", os.R_OK)


def _local_port(pid: int, server_port: int) -> int:
    """From which port that process has a connection to the server's; 0 where it has none yet."""
    sockets = set()
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                sockets.add(str(entry.readlink()))
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                here, there, state, inode = fields[1], fields[2], fields[3], fields[9]
                to = int(there.rpartition(":")[2], 16)
                if state == _ESTABLISHED and to == server_port and f"socket:[{inode}]" in sockets:
                    return int(here.rpartition(":")[2], 16)
    return 0


def _shown(query: str) -> str:
    """In one line, without what stands in quotes: that may be data, or a password."""
    return " ".join(re.sub(r"'[^']*('|$)", "'…'", query).split())
