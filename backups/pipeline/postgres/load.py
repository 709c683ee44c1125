"""What is PostgreSQL's own about a running `psql`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

import psycopg

from backups.pipeline import loading, processes
from backups.pipeline.errors import LackingError, PipelineError, RestoreError
from backups.pipeline.postgres import binaries, sentences, sessions
from backups.pipeline.postgres.connection import PostgresServer

_ERROR = re.compile(r"^psql:<stdin>:(\d+): \S+:  (?:[0-9A-Z]{5}: )?(.*)$", re.MULTILINE)
_WHERE = re.compile(r"^CONTEXT:  (COPY .*?, line \d+(?:, column [^:\n]+)?)", re.MULTILINE)
_SESSION = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "synchronous_commit": "off",
}


class Psql:
    """A psql for that server; `restricts` says whether it can be forbidden meta-commands, and
    `lines_before` is what the script has before the dump's own lines."""

    program = "psql"

    def __init__(self, server: PostgresServer, major: int, application: str) -> None:
        self._server = server
        self._application = application
        self._installation = binaries.psql_for(major)
        self.restricts = self._installation.restricts
        self.lines_before = 0

    def start(
        self,
        *,
        vigilance: dict[str, str],
        single_transaction: bool,
        stall_seconds: float,
        waiting: Callable[[str], None] | None,
    ) -> loading.Load:
        conninfo = self._server.conninfo(
            application_name=self._application, options=sessions.options(_SESSION, vigilance)
        )
        process = processes.start(
            [
                self._installation.program("psql"),
                "--no-psqlrc",
                "--no-password",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                "--set=VERBOSITY=verbose",
                *(["--single-transaction"] if single_transaction else []),
                "--file=-",
                f"--dbname={conninfo}",
            ],
            env=self._server.environment(),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        return loading.Load(self, process, stall_seconds=stall_seconds, waiting=waiting)

    def look(self) -> tuple[str, bool]:
        try:
            found = sessions.look(self._server, self._application)
        except psycopg.Error:
            return "the server does not answer any more", False
        seen = str(found) if found else "the server has no such session any more"
        return self._server.mask(seen), bool(found and found.works)

    def end(self) -> None:
        sessions.end(self._server, self._application)

    def explain(self, said: str) -> PipelineError:
        told = sentences.restoring(self._server, _without_location(said))
        kind = LackingError if told.lacking else RestoreError
        error = _ERROR.search(said)
        where = [f"line {int(error[1]) - self.lines_before} of the dump"] if error else []
        if found := _WHERE.search(said):
            where.append(found[1])
        place = f" ({', '.join(where)})" if where else ""
        return kind(told.sentence + place, remedy=told.remedy, permanent=told.permanent)


def _without_location(said: str) -> str:
    """The error in the server's words, without psql's and without lines of the server's code."""
    found = _ERROR.search(said)
    if found is None:
        return said
    extra = re.search(r"^(?:DETAIL|HINT):  .*$", said, re.MULTILINE)
    return f"{found[2]}\n{extra[0] if extra else ''}"
