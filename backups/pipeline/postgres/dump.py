"""What is PostgreSQL's own about a running `pg_dump`."""

from __future__ import annotations

import psycopg

from backups.pipeline.postgres import sentences, sessions
from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.telling import Told

END_MARKER = b"-- PostgreSQL database dump complete"


class PgDump:
    """The session of that application name on the server."""

    program = "pg_dump"
    end_marker = END_MARKER

    def __init__(self, server: PostgresServer, application: str) -> None:
        self._server = server
        self._application = application

    def look(self) -> str:
        try:
            found = sessions.look(self._server, self._application)
        except psycopg.Error:
            return "the server does not answer any more"
        seen = str(found) if found else "the server has no such session any more"
        return self._server.mask(seen)

    def end(self) -> None:
        sessions.end(self._server, self._application)

    def explain(self, said: str) -> Told:
        return sentences.dumping(self._server, said)
