"""Processes of one test, known by a mark in their environment that all they start inherits."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAME = "BACKDROP_TEST_MARK"
PATIENCE = 60.0


def wait_until(true: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """What `true` returns once that is truthy; fails with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (result := true()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {seconds:g} s in vain: {what}.")
        time.sleep(0.05)
    return result


class Marked:
    """A program that writes to a file, and everything below it."""

    def __init__(self, argv: list[str], log: Path, mark: str, **options: Any) -> None:
        self.mark = mark
        self.log = log
        environment = {**os.environ, **options.pop("env", {}), NAME: mark}
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                argv,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                **options,
            )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, words: str, seconds: float = PATIENCE) -> None:
        try:
            wait_until(lambda: words in self.text() or self.ended, words, seconds)
            assert words in self.text(), "It ended before."
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text()}") from None

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def pids(self) -> list[int]:
        """Everything alive that carries the mark, but zombies, which carry nothing."""
        entry = f"{NAME}={self.mark}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and entry in (folder / "environ").read_bytes().split(
                    b"\0"
                ):
                    found.append(int(folder.name))
        return found

    def nothing_is_left(self, seconds: float = PATIENCE) -> None:
        wait_until(lambda: not self.pids(), f"processes {self.pids()} to end", seconds)


@contextmanager
def marked(argv: list[str], log: Path, **options: Any) -> Iterator[Marked]:
    """Run it for the length of the block, and leave nothing of it, whatever happened."""
    run = Marked(argv, log, uuid.uuid4().hex, **options)
    try:
        yield run
    finally:
        while left := run.pids():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            run.process.poll()
            time.sleep(0.02)
        run.process.wait(PATIENCE)
