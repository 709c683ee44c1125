"""Keeps the platform's programs running as one: starts, restarts, and stops them whole.

Every program leads a session of its own. SIGTERM goes to the leader alone, which knows how to end
what it started; once it has gone, or its grace has run out, whatever it left is killed. For that
the supervisor is a subreaper: nothing below it slips away by forking twice. A program that ends,
with whatever code, is started again, later each time. When the supervisor itself is killed, the
kernel kills the leaders.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TextIO

from backdrop_site import processes
from tasks.processes import adopt_orphans

BACKOFF = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
STEADY_SECONDS = 60.0
"""A program that ran this long was healthy: its next start is quick again."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is to be kept running."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: float = 10.0
    """Between SIGTERM and SIGKILL; longer than the grace the program gives its own children."""
    passes: Sequence[int] = ()
    """Descriptors it inherits: listening sockets."""
    ready: Callable[[int], bool] = lambda pid: True
    """Asked with the leader's pid until it says yes; must not block for long."""


class Supervisor:
    """Runs programs until a signal asks it to stop; `run` returns once nothing is left of them.

    `on_ready` is called once, when every program has been ready. A second signal kills at once.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        out: TextIO | None = None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._out = out or sys.stdout
        self._width = max(len("backdrop"), *(len(program.name) for program in programs))
        self._selector = selectors.DefaultSelector()
        self._children = [_Child(program) for program in programs]
        self._on_ready = on_ready
        self._told_ready = False
        self._stops = 0

    def run(self) -> None:
        adopt_orphans()
        with self._signals():
            try:
                while not self._stops:
                    self._start_due()
                    self._listen(0.1)
                    self._restart_ended()
                    self._ask_ready()
            finally:
                self._stop()

    def say(self, line: str, *, name: str = "backdrop") -> None:
        with suppress(OSError, ValueError):  # a closed terminal must not stop the platform
            self._out.write(f"{name:<{self._width}} | {line}\n")
            self._out.flush()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._asked) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, frame: Any) -> None:
        self._stops += 1

    def _start_due(self) -> None:
        for child in self._children:
            if child.process is None and time.monotonic() >= child.start_at:
                try:
                    self._selector.register(child.start(), selectors.EVENT_READ, child)
                except OSError as error:
                    child.start_at = time.monotonic() + child.delay()
                    self.say(f"{child.name} can't be started: {error}.")

    def _restart_ended(self) -> None:
        for child in self._children:
            if child.ended:
                how = child.how_it_ended()
                self._bury(child)
                delay = child.delay()
                child.start_at = time.monotonic() + delay
                self.say(f"{child.name} ended ({how}); starting it again in {delay:g} s.")
        processes.reap_orphans(except_for=self._leaders())

    def _ask_ready(self) -> None:
        for child in self._children:
            if child.process and not child.ready and child.program.ready(child.process.pid):
                child.ready = True
                self.say(f"{child.name} is ready.")
        if not self._told_ready and all(child.ready for child in self._children):
            self._told_ready = True
            self._on_ready()

    def _stop(self) -> None:
        self.say("Stopping; ask again to stop at once.")
        asked_at = time.monotonic()
        for child in self._children:
            child.signal(signal.SIGTERM)
        while running := [child for child in self._children if child.process]:
            self._listen(0.05)
            for child in running:
                if child.ended:
                    self._bury(child)
                elif self._stops > 1 or time.monotonic() > asked_at + child.program.grace_seconds:
                    child.signal(signal.SIGKILL)
        processes.kill_orphans(except_for=())
        self.say("Stopped.")

    def _bury(self, child: _Child) -> None:
        """Kill what an ended leader left behind, and read what it still had to say."""
        processes.kill_orphans(except_for=self._leaders())
        self._read(child)
        self._selector.unregister(child.output)
        child.forget()

    def _leaders(self) -> set[int]:
        return {child.process.pid for child in self._children if child.process}

    def _listen(self, seconds: float) -> None:
        if not self._selector.get_map():
            time.sleep(seconds)
            return
        for key, _ in self._selector.select(seconds):
            self._read(key.data)
            if key.data.silent:  # it closed its output: without this the loop would spin
                time.sleep(seconds)

    def _read(self, child: _Child) -> None:
        for line in child.lines():
            self.say(line, name=child.name)


class _Child:
    """One program and its current process, if any."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.name = program.name
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at = 0.0
        self.ready = False
        self.silent = False
        self.output = -1
        self._started_at = 0.0
        self._failures = 0
        self._unfinished = b""

    def start(self) -> int:
        """Start the process; returns the descriptor of its output."""
        supervisor = os.getpid()
        self._started_at = time.monotonic()
        self.ready = self.silent = False
        reading, writing = os.pipe()
        try:
            self.process = subprocess.Popen(
                list(self.program.argv),
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.program.environment},
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self.program.passes,
                # Safe: the supervisor has one thread.
                preexec_fn=lambda: processes.die_with(supervisor, signal.SIGKILL),  # noqa: PLW1509
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        self.output = reading
        return reading

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def how_it_ended(self) -> str:
        code = self.process.returncode if self.process else 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def signal(self, number: int) -> None:
        if self.process and not self.ended:
            self.process.send_signal(number)

    def delay(self) -> float:
        """Seconds from this end to the next start."""
        if time.monotonic() - self._started_at >= STEADY_SECONDS:
            self._failures = 0
        delay = BACKOFF[min(self._failures, len(BACKOFF) - 1)]
        self._failures += 1
        return delay

    def lines(self) -> Iterator[str]:
        """Whole lines it has written since the last call; of an ended process the rest as well."""
        try:
            while chunk := os.read(self.output, 65536):
                *whole, self._unfinished = (self._unfinished + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
            self.silent = True
        except BlockingIOError:
            pass
        if self.ended and self._unfinished:
            yield self._unfinished.decode(errors="replace")
            self._unfinished = b""

    def forget(self) -> None:
        os.close(self.output)
        self.process = None
