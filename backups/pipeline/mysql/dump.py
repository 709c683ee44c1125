"""What is MySQL's own about a running dump program."""

from __future__ import annotations

import pymysql

from backups.pipeline.errors import SourceError
from backups.pipeline.mysql import sentences
from backups.pipeline.mysql.connection import MysqlServer
from backups.pipeline.mysql.dumptext import END_MARKER
from backups.pipeline.mysql.sessions import Session
from backups.pipeline.telling import Told


class MysqlDump:
    """The session that `mariadb-dump` or `mysqldump` opened.

    Neither can be told how long to wait for a lock (the server's own limit is a day), so that is
    watched here.
    """

    end_marker = END_MARKER

    def __init__(
        self, server: MysqlServer, program: str, session: Session, *, lock_wait_seconds: float
    ) -> None:
        self.program = program
        self._server = server
        self._session = session
        self._lock_wait_seconds = lock_wait_seconds

    def look(self) -> str:
        try:
            found = self._session.look()
        except (pymysql.MySQLError, OSError):
            return "the server does not answer any more"
        seen = str(found) if found else "the server has no such session any more"
        if found and found.waits_for_lock and found.seconds >= self._lock_wait_seconds:
            raise SourceError(
                f"A table of {self._server.dbname} stayed locked for longer than the plan waits:"
                f" {self._server.mask(seen)}.",
                remedy="Run the backup when no migration holds its lock, or let the plan wait"
                " longer.",
            )
        return self._server.mask(seen)

    def end(self) -> None:
        self._session.end()

    def explain(self, said: str) -> Told:
        return sentences.dumping(self._server, self.program, said)
