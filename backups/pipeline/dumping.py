"""A running dump program, read block by block and watched while nothing comes."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import IO, Protocol, cast

from backups.pipeline import processes
from backups.pipeline.complaints import Complaints
from backups.pipeline.errors import SourceError, StalledError
from backups.pipeline.ports import Block
from backups.pipeline.telling import Told

BLOCK = 1 << 20
_TAIL = 512  # holds the end marker, and what patched programs write after it
_GRACE_SECONDS = 0.5
_EXIT_SECONDS = 10
_LOOK_SECONDS = 2.0


class DumpClient(Protocol):
    """What is the engine's own about a running dump."""

    program: str
    end_marker: bytes

    def look(self) -> str:
        """What its session on the server is at, for people, without secrets. May raise SourceError
        where that is reason enough to give up."""

    def end(self) -> None:
        """See that its session on the server is gone; raises nothing for the server's sake."""

    def explain(self, said: str) -> Told:
        """Why it failed, from what it said."""


class Dump:
    """The blocks of one dump, each valid until the next is pulled.

    The end is reached only when the program has exited 0 and the dump's own end marker was its
    last word; anything else raises SourceError, or StalledError where no byte came for too long.
    `close` kills what still runs and sees that the server's session is gone too.
    """

    def __init__(
        self,
        client: DumpClient,
        process: subprocess.Popen[bytes],
        *,
        stall_seconds: float,
        lock_wait_seconds: float,
        waiting: Callable[[str], None] | None,
    ) -> None:
        self._client = client
        self._process = process
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
        """Idempotent. A program that gets SIGTERM may cancel its query on the server first."""
        process = self._process
        ended_by_itself = process.poll() is not None and process.returncode >= 0
        processes.stop(process, grace=_GRACE_SECONDS)
        self._output.close()
        self._complaints.close()
        if not ended_by_itself:
            self._client.end()

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
        self._seen = self._client.look()
        if self._waiting:
            first = "Nothing came yet" if not self._began else "Nothing comes"
            self._waiting(f"{first}: {self._seen}")

    def _stalled(self) -> StalledError:
        self._look()
        what = "No byte came" if self._began else "The dump did not begin"
        return StalledError(
            f"{what} for {self._stall_seconds:g} s: {self._seen}.",
            remedy="Mend that, or give the plan a longer stall limit.",
        )

    def _finish(self, tail: bytes) -> None:
        """Called at the end of the program's output: was it the end of a dump?"""
        program = self._client.program
        status = processes.wait(self._process, seconds=_EXIT_SECONDS)
        self._complaints.drain()
        if status is None:
            raise SourceError(f"{program} closed its output but did not end.")
        if status < 0:
            raise SourceError(
                f"{program} was killed by signal {-status} in the middle of the dump.",
                remedy="See in this machine's log who killed it; often it is out of memory.",
            )
        if status:
            raise self._failed()
        if self._client.end_marker not in tail:
            raise SourceError(f"{program} exited 0, but its dump has no end.")

    def _failed(self) -> SourceError:
        told = self._client.explain(self._complaints.text)
        seen = f" Last seen: {self._seen}." if self._seen else ""
        return SourceError(told.sentence + seen, remedy=told.remedy, permanent=told.permanent)
