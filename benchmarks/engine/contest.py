"""One contender's turn: its workers are started, given work and watched, and all of it is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WARM = 0.1  # the share of tasks that end before the clock starts, workers' start included
LONGEST_SECONDS = 300.0
LOOK_SECONDS = 0.05
IDLE_SECONDS = 0.4  # between two single requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """An engine: the program that drives it, its workers, and the servers it needs."""

    name: str
    driver: Sequence[str]
    workers: Sequence[Sequence[str]]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Turn:
    """What was measured in one round."""

    drained: float
    """Tasks a second, all pushed before the workers started."""
    together: float
    """Tasks a second from the first push, pushed while others run."""
    latencies: list[float]
    """Seconds from the request to the start of a task, by idle workers."""


class Drive:
    """The driver's process, from our side."""

    def __init__(self, contender: Contender) -> None:
        self._process = subprocess.Popen(
            contender.driver,
            cwd=ROOT,
            env={**os.environ, **contender.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self, words: str) -> str:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("The driver can't be spoken to.")
        stdin.write(words + "\n")
        stdin.flush()
        answer = stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"The driver ended over {words!r}.")
        return answer

    def wait_for(self, number: int) -> float:
        """When so many tasks had ended."""
        limit = time.monotonic() + LONGEST_SECONDS
        while int(self.ask("count")) < number:
            if time.monotonic() > limit:
                raise RuntimeError(f"{self.ask('count')} of {number} tasks after {limit} s")
            time.sleep(LOOK_SECONDS)
        return time.monotonic()

    def end(self) -> None:
        self._process.kill()
        self._process.wait(10)


def take_turn(contender: Contender, tasks: int, singles: int, folder: Path) -> Turn:
    drive = Drive(contender)
    try:
        drive.ask("clear")
        drive.ask(f"push {tasks}")
        with _workers(contender, folder):
            drained = _drain(drive, tasks)
            drive.ask("clear")
            began = time.monotonic()
            drive.ask(f"push {tasks}")
            together = tasks / (drive.wait_for(tasks) - began)
            latencies = [_single(drive, folder) for _ in range(singles)]
        drive.ask("clear")
    finally:
        drive.end()
    return Turn(drained=drained, together=together, latencies=latencies)


def _drain(drive: Drive, tasks: int) -> float:
    limit = time.monotonic() + LONGEST_SECONDS
    while (seen := int(drive.ask("count"))) < tasks * WARM:
        if time.monotonic() > limit:
            raise RuntimeError("No task was run.")
        time.sleep(LOOK_SECONDS)
    began = time.monotonic()
    return (tasks - seen) / (drive.wait_for(tasks) - began)


def _single(drive: Drive, folder: Path) -> float:
    time.sleep(IDLE_SECONDS)
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        path = Path(inside) / "stamp"
        asked = time.time()
        drive.ask(f"stamp {path}")
        _until(lambda: path.exists() and path.read_text().endswith("\n"))
        return float(path.read_text()) - asked


def _until(true: Callable[[], object]) -> None:
    limit = time.monotonic() + 30
    while not true():
        if time.monotonic() > limit:
            raise RuntimeError("A task wasn't started within 30 s.")
        time.sleep(0.01)


@contextmanager
def _workers(contender: Contender, folder: Path) -> Iterator[None]:
    log = folder / f"{contender.name.replace(' ', '-').replace(',', '')}.log"
    with log.open("ab") as output:
        running = [
            subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **contender.env},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            for command in contender.workers
        ]
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(f"{contender.name}: {error}\n{log.read_text()[-2000:]}") from error
    finally:
        for process in running:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
