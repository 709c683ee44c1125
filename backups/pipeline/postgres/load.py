"""A running `psql` that is fed a script, and watched while it takes nothing."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Callable
from typing import IO, cast

import psycopg

from backups.pipeline import processes
from backups.pipeline.complaints import Complaints
from backups.pipeline.errors import LackingError, PipelineError, RestoreError, StalledError
from backups.pipeline.postgres import binaries, sentences, sessions
from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.postgres.script import Script

_GRACE_SECONDS = 0.5
_LOOK_SECONDS = 2.0
_ERROR = re.compile(r"^psql:<stdin>:(\d+): \S+:  (?:[0-9A-Z]{5}: )?(.*)$", re.MULTILINE)
_WHERE = re.compile(r"^CONTEXT:  (COPY .*?, line \d+(?:, column [^:\n]+)?)", re.MULTILINE)
_SESSION = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "synchronous_commit": "off",
}


class Load:
    """One psql reading its script from us; `close` kills it when it still runs."""

    def __init__(
        self,
        server: PostgresServer,
        major: int,
        application: str,
        *,
        vigilance: dict[str, str],
        single_transaction: bool,
        stall_seconds: float,
        waiting: Callable[[str], None] | None,
    ) -> None:
        self._server = server
        self._application = application
        self._stall_seconds = stall_seconds
        self._waiting = waiting
        installation = binaries.psql_for(major)
        self.restricts = installation.restricts
        conninfo = server.conninfo(
            application_name=application, options=sessions.options(_SESSION, vigilance)
        )
        self._process = processes.start(
            [
                installation.program("psql"),
                "--no-psqlrc",
                "--no-password",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                "--set=VERBOSITY=verbose",
                *(["--single-transaction"] if single_transaction else []),
                "--file=-",
                f"--dbname={conninfo}",
            ],
            env=server.environment(),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._input = cast("IO[bytes]", self._process.stdin)
        self._complaints = Complaints(cast("IO[bytes]", self._process.stderr))
        self._lines_before = 0
        os.set_blocking(self._input.fileno(), False)
        processes.widen(self._input.fileno())

    def run(self, script: Script) -> None:
        """Feed the whole script and wait for psql's end; raises RestoreError and its like."""
        self._lines_before = script.lines_before
        whole = all(self._write(memoryview(block)) for block in script)
        if whole:
            self._input.close()
        self._finish()
        if not whole:
            raise RestoreError("psql stopped in the middle of the dump without an error.")

    def close(self) -> None:
        """Idempotent."""
        running = self._process.poll() is None
        processes.stop(self._process, grace=_GRACE_SECONDS)
        self._input.close()
        self._complaints.close()
        if running:
            sessions.end(self._server, self._application)

    def _write(self, rest: memoryview) -> bool:
        """False when psql does not read any more."""
        poll = select.poll()
        poll.register(self._input, select.POLLOUT)
        poll.register(self._complaints, select.POLLIN)
        watch = _Watch(self._stall_seconds, self._look)
        while rest:
            ready = dict(poll.poll(watch.milliseconds()))
            if self._complaints.fileno() in ready and not self._complaints.read():
                poll.unregister(self._complaints)
            if self._input.fileno() in ready:
                try:
                    rest = rest[os.write(self._input.fileno(), rest) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:  # it has ended, and has said why
                    return False
                watch.reset()
            elif not ready:
                watch.tick()
        return True

    def _finish(self) -> None:
        """All is written; the server may be building indexes for hours."""
        poll = select.poll()
        poll.register(self._complaints, select.POLLIN)
        watch = _Watch(self._stall_seconds, self._look)
        while True:  # standard error is closed when psql ends
            if not poll.poll(watch.milliseconds()):
                watch.tick()
            elif not self._complaints.read():
                break
        status = self._process.wait()
        if status < 0:
            raise LackingError(
                f"psql was killed by signal {-status} in the middle of the restore.",
                remedy="See in this machine's log who killed it; often it is out of memory.",
                permanent=False,
            )
        if status:
            raise self._failed()

    def _look(self) -> str:
        """What the restore waits for; empty while the server is at work."""
        try:
            found = sessions.look(self._server, self._application)
        except psycopg.Error:
            seen, works = "the server does not answer any more", False
        else:
            seen = str(found) if found else "the server has no such session any more"
            works = bool(found and found.works)
        seen = self._server.mask(seen)
        if self._waiting:
            self._waiting(f"{seen[:1].upper()}{seen[1:]}")
        return "" if works else seen

    def _failed(self) -> PipelineError:
        said = self._complaints.text
        told = sentences.restoring(self._server, _without_location(said))
        kind = LackingError if told.lacking else RestoreError
        error = _ERROR.search(said)
        where = [f"line {int(error[1]) - self._lines_before} of the dump"] if error else []
        if found := _WHERE.search(said):
            where.append(found[1])
        place = f" ({', '.join(where)})" if where else ""
        return kind(told.sentence + place, remedy=told.remedy, permanent=told.permanent)


class _Watch:
    """Counts how long nothing moved, and looks at the server from time to time meanwhile."""

    def __init__(self, stall_seconds: float, look: Callable[[], str]) -> None:
        self._stall_seconds = stall_seconds
        self._every = min(_LOOK_SECONDS, stall_seconds / 2)
        self._look = look
        self.reset()

    def reset(self) -> None:
        self._since = self._looked = time.monotonic()

    def milliseconds(self) -> float:
        return max(1, (self._looked + self._every - time.monotonic()) * 1000)

    def tick(self) -> None:
        """Nothing moved. While the server works that is as it should be."""
        seen = self._look()
        self._looked = time.monotonic()
        if not seen:
            self._since = self._looked
        elif self._looked - self._since >= self._stall_seconds:
            raise StalledError(
                f"The restore did not move for {self._stall_seconds:g} s: {seen}.",
                remedy="Mend that, then restore again.",
            )


def _without_location(said: str) -> str:
    """The error in the server's words, without psql's and without lines of the server's code."""
    found = _ERROR.search(said)
    if found is None:
        return said
    extra = re.search(r"^(?:DETAIL|HINT):  .*$", said, re.MULTILINE)
    return f"{found[2]}\n{extra[0] if extra else ''}"
