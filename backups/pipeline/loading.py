"""A running client program that is fed a script, and watched while it takes nothing."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from typing import IO, Protocol, cast

from backups.pipeline import processes
from backups.pipeline.complaints import Complaints
from backups.pipeline.errors import LackingError, PipelineError, RestoreError, StalledError
from backups.pipeline.ports import Stream

_GRACE_SECONDS = 0.5
_LOOK_SECONDS = 2.0


class LoadClient(Protocol):
    """What is the engine's own about a running load."""

    program: str

    def look(self) -> tuple[str, bool]:
        """What its session on the server is at, for people, without secrets; and whether the
        server is at work there, however slow."""

    def end(self) -> None:
        """See that its session on the server is gone; raises nothing for the server's sake."""

    def explain(self, said: str) -> PipelineError:
        """Why it failed, from what it said."""


class Load:
    """One program reading its script from us; `close` kills it when it still runs."""

    def __init__(
        self,
        client: LoadClient,
        process: subprocess.Popen[bytes],
        *,
        stall_seconds: float,
        waiting: Callable[[str], None] | None,
    ) -> None:
        self._client = client
        self._process = process
        self._stall_seconds = stall_seconds
        self._waiting = waiting
        self._input = cast("IO[bytes]", process.stdin)
        self._complaints = Complaints(cast("IO[bytes]", process.stderr))
        os.set_blocking(self._input.fileno(), False)
        processes.widen(self._input.fileno())

    def run(self, script: Stream) -> None:
        """Feed the whole script and wait for the end; raises RestoreError and its like."""
        whole = all(self._write(memoryview(block)) for block in script)
        if whole:
            self._input.close()
        self._finish()
        if not whole:
            raise RestoreError(
                f"{self._client.program} stopped in the middle of the dump without an error."
            )

    def close(self) -> None:
        """Idempotent."""
        running = self._process.poll() is None
        processes.stop(self._process, grace=_GRACE_SECONDS)
        self._input.close()
        self._complaints.close()
        if running:
            self._client.end()

    def _write(self, rest: memoryview) -> bool:
        """False when the program does not read any more."""
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
        while True:  # standard error is closed when the program ends
            if not poll.poll(watch.milliseconds()):
                watch.tick()
            elif not self._complaints.read():
                break
        status = self._process.wait()
        if status < 0:
            raise LackingError(
                f"{self._client.program} was killed by signal {-status} in the middle of the"
                " restore.",
                remedy="See in this machine's log who killed it; often it is out of memory.",
                permanent=False,
            )
        if status:
            raise self._client.explain(self._complaints.text)

    def _look(self) -> str:
        """What the restore waits for; empty while the server is at work."""
        seen, works = self._client.look()
        if self._waiting:
            self._waiting(f"{seen[:1].upper()}{seen[1:]}")
        return "" if works else seen


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
