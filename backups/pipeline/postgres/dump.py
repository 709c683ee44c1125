"""A running `pg_dump`, read block by block and watched while nothing comes."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import IO, cast

import psycopg

from backups.pipeline import processes
from backups.pipeline.complaints import Complaints
from backups.pipeline.errors import SourceError, StalledError
from backups.pipeline.ports import Block
from backups.pipeline.postgres import sentences, sessions
from backups.pipeline.postgres.connection import PostgresServer

BLOCK = 1 << 20
END_MARKER = b"-- PostgreSQL database dump complete"
_TAIL = 512  # holds the marker and a \unrestrict line after it
_GRACE_SECONDS = 0.5
_EXIT_SECONDS = 10
_LOOK_SECONDS = 2.0


class Dump:
    """The blocks of one dump, each valid until the next is pulled.

    The end is reached only when pg_dump has exited 0 and the dump's own end marker was its last
    word; anything else raises SourceError, or StalledError where no byte came for too long.
    `close` kills what still runs and sees that the server's session is gone too.
    """

    def __init__(
        self,
        server: PostgresServer,
        process: subprocess.Popen[bytes],
        application: str,
        *,
        stall_seconds: float,
        lock_wait_seconds: float,
        waiting: Callable[[str], None] | None,
    ) -> None:
        self._server = server
        self._process = process
        self._application = application
        self._stall_seconds = stall_seconds
        self._look_seconds = min(_LOOK_SECONDS, stall_seconds / 2, lock_wait_seconds / 2)
        self._waiting = waiting
        self._output = cast("IO[bytes]", process.stdout)
        self._complaints = Complaints(cast("IO[bytes]", process.stderr))
        self._poll = select.poll()
        for pipe in (self._output, self._complaints):
            self._poll.register(pipe, select.POLLIN)
        self._began = False
        self._seen = ""
        processes.widen(self._output.fileno())

    def __iter__(self) -> Iterator[Block]:
        buffer = bytearray(BLOCK)
        view = memoryview(buffer)
        tail = b""
        while size := self._read(view):
            self._began = True
            tail = (tail + bytes(view[max(0, size - _TAIL) : size]))[-_TAIL:]
            yield view[:size]
        self._finish(tail)

    def close(self) -> None:
        """Idempotent. A pg_dump that gets SIGTERM cancels its query on the server first."""
        process = self._process
        ended_by_itself = process.poll() is not None and process.returncode >= 0
        processes.stop(process, grace=_GRACE_SECONDS)
        self._output.close()
        self._complaints.close()
        if not ended_by_itself:
            sessions.end(self._server, self._application)

    def _read(self, view: memoryview) -> int:
        """The next bytes; 0 at the end."""
        self._wait_for_output()
        return os.readv(self._output.fileno(), [view])

    def _wait_for_output(self) -> None:
        began = time.monotonic()
        look_at = began + self._look_seconds
        while True:
            now = time.monotonic()
            if now - began >= self._stall_seconds:
                raise self._stalled()
            if now >= look_at:
                self._look()
                look_at = now + _LOOK_SECONDS * 2
            limit = min(look_at, began + self._stall_seconds)
            ready = {fd for fd, _ in self._poll.poll(max(1, (limit - now) * 1000))}
            if self._complaints.fileno() in ready and not self._complaints.read():
                self._poll.unregister(self._complaints)
            if self._output.fileno() in ready:
                return

    def _look(self) -> None:
        """See what the session is at, and tell."""
        try:
            found = sessions.look(self._server, self._application)
        except psycopg.Error:
            self._seen = "the server does not answer any more"
        else:
            self._seen = str(found) if found else "the server has no such session any more"
        if self._waiting:
            first = "Nothing came yet" if not self._began else "Nothing comes"
            self._waiting(f"{first}: {self._server.mask(self._seen)}")

    def _stalled(self) -> StalledError:
        self._look()
        what = "No byte came" if self._began else "The dump did not begin"
        return StalledError(
            f"{what} for {self._stall_seconds:g} s: {self._server.mask(self._seen)}.",
            remedy="Mend that, or give the plan a longer stall limit.",
        )

    def _finish(self, tail: bytes) -> None:
        """Called at the end of pg_dump's output: was it the end of a dump?"""
        status = processes.wait(self._process, seconds=_EXIT_SECONDS)
        self._complaints.drain()
        if status is None:
            raise SourceError("pg_dump closed its output but did not end.")
        if status < 0:
            raise SourceError(
                f"pg_dump was killed by signal {-status} in the middle of the dump.",
                remedy="See in this machine's log who killed it; often it is out of memory.",
            )
        if status:
            raise self._failed()
        if END_MARKER not in tail:
            raise SourceError("pg_dump exited 0, but its dump has no end.")

    def _failed(self) -> SourceError:
        told = sentences.dumping(self._server, self._complaints.text)
        seen = f" Last seen: {self._server.mask(self._seen)}." if self._seen else ""
        return SourceError(told.sentence + seen, remedy=told.remedy, permanent=told.permanent)
