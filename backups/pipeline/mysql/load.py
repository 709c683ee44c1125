"""What is MySQL's own about a running client that loads a dump."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

from backups.pipeline import loading, processes
from backups.pipeline.errors import LackingError, PipelineError, RestoreError
from backups.pipeline.mysql import connection, sentences
from backups.pipeline.mysql.binaries import Client
from backups.pipeline.mysql.connection import MysqlServer
from backups.pipeline.mysql.sessions import Session

_ERROR = re.compile(r"^ERROR (?:\d+ \(\w+\) )?at line (\d+)(?: in file: \S+)?: (.*)$", re.MULTILINE)


class MysqlClient:
    """`mariadb` or `mysql`, which stops at the first error and carries out no command of its own:
    a dump is a program, and `\\!` would run another."""

    def __init__(self, server: MysqlServer, client: Client, session: Session) -> None:
        self.program = Path(client.load).name
        self._server = server
        self._client = client
        self._session = session

    @contextmanager
    def start(
        self, *, stall_seconds: float, waiting: Callable[[str], None] | None
    ) -> Iterator[loading.Load]:
        with self._server.option_file() as opened:
            process = processes.start(
                [
                    self._client.load,
                    f"--defaults-file=/proc/self/fd/{opened}",
                    "--batch",
                    "--binary-mode",
                    *(["--sandbox"] if self._client.sandbox else []),
                    "--skip-reconnect",
                    "--local-infile=0",
                    "--default-character-set=utf8mb4",
                    "--max-allowed-packet=1G",
                    f"--connect-timeout={connection.CONNECT_SECONDS}",
                    *self._server.arguments(self._client),
                    f"--database={self._server.dbname}",
                ],
                env=connection.environment(),
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[opened],
            )
            load = loading.Load(self, process, stall_seconds=stall_seconds, waiting=waiting)
            try:
                self._session.belongs_to(process.pid)
                yield load
            finally:
                load.close()

    def look(self) -> tuple[str, bool]:
        try:
            found = self._session.look()
        except (pymysql.MySQLError, OSError):
            return "the server does not answer any more", False
        seen = str(found) if found else "the server has no such session any more"
        return self._server.mask(seen), bool(found and found.works)

    def end(self) -> None:
        self._session.end()

    def explain(self, said: str) -> PipelineError:
        error = _ERROR.search(said)
        told = sentences.restoring(self._server, error[2] if error else said)
        kind = LackingError if told.lacking else RestoreError
        place = f" (line {error[1]} of the dump)" if error else ""
        return kind(told.sentence + place, remedy=told.remedy, permanent=told.permanent)
