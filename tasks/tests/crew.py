"""Real `runworkers` and `rundaemon` processes on the test database, and a look at all of theirs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from tasks import processes, queue
from tasks.models import Attempt, Task, Worker
from tasks.tests import toys

PATIENCE = 60.0

assert toys  # registers the toy jobs in the process of the tests


def until(true: Callable[[], Any], seconds: float = PATIENCE, what: str = "") -> Any:
    """Wait for it to become true, and give that; an AssertionError when it takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        if value := true():
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or true}"
        time.sleep(0.03)


def environment_of_tests(folder: Path) -> dict[str, str]:
    """For processes that shall meet the tests in the test database."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tasks.tests.crew_settings",
        "VAR_DIR": str(folder),
        "DB_URL": database_url(),
        "SECRET_KEY": settings.SECRET_KEY,
        "JWT_SECRET": settings.JWT_SECRET,
        "ENCRYPTION_KEY": settings.ENCRYPTION_KEY,
    }


def database_url() -> str:
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{known['NAME']}"
    login = f"{quote(known['USER'])}:{quote(known['PASSWORD'])}"
    server = f"{quote(known['HOST'], safe='')}:{known['PORT'] or 5432}"
    return f"postgres://{login}@{server}/{known['NAME']}"


class Crew:
    """One `runworkers` (or `rundaemon`) and all that it started, told by a mark they carry."""

    def __init__(
        self,
        folder: Path,
        command: list[str],
        environment: dict[str, str],
        prefix: Sequence[str] = (),
    ) -> None:
        self.mark = f"crew-{uuid.uuid4().hex}"
        self.log = folder / f"{self.mark}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "manage.py", *command],
                cwd=settings.BASE_DIR,
                env={
                    **environment_of_tests(folder),
                    "BACKDROP_TEST_MARK": self.mark,
                    **environment,
                },
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def name(self) -> str:
        return Worker.objects.get(pid=self.process.pid).name

    def wait_ready(self) -> None:
        until(lambda: self.process.poll() is not None or self.is_ready(), what="crew is ready")
        assert self.process.poll() is None, self.log.read_text()

    def is_steady(self) -> bool:
        """Whether one pool with all its workers is there, idle."""
        workers = self.called("worker")
        return (
            len(self.called("pool")) == 1
            and len(workers) == Worker.objects.get(pid=self.process.pid).capacity
            and workers == self.idle_workers()
            and all(pid in processes.children_of(self.sentinel) for pid in workers)
        )

    def is_ready(self) -> bool:
        row = Worker.objects.filter(pid=self.process.pid).first()
        return row is not None and len(self.called("worker")) >= row.capacity

    def everyone(self) -> dict[int, str]:
        """pid -> name of every process that carries the mark, wherever it has got to."""
        found = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
        return {pid: name for pid, name in found.items() if processes.identity(pid)}

    def called(self, name: str) -> list[int]:
        return sorted(pid for pid, comm in self.everyone().items() if comm == f"backdrop-{name}")

    def called_with(self, command: str) -> list[int]:
        """Those whose command line ends so."""
        found = []
        for pid in self.everyone():
            with suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                if line.strip().endswith(command):
                    found.append(pid)
        return found

    @property
    def leader(self) -> int:
        return self.called("pool")[-1]

    @property
    def sentinel(self) -> int:
        return processes.children_of(self.leader)[0]

    def attempts(self) -> list[int]:
        """The processes that run jobs just now."""
        return sorted(pid for pid, comm in self.everyone().items() if comm.startswith("job-"))

    def idle_workers(self) -> list[int]:
        """Those with no process but one that is kept for the next attempt."""
        return [pid for pid in self.called("worker") if not set(children_at_work(pid))]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = PATIENCE) -> int:
        return self.process.wait(seconds)

    def end(self) -> None:
        """For the end of a test, however it went: all are killed, as the database is emptied."""
        self.process.kill()
        self.process.wait()
        for pid in self.everyone():
            processes.kill(pid)

    def leaves_nothing(self, seconds: float = PATIENCE) -> bool:
        return bool(until(lambda: not self.everyone(), seconds, f"{self.everyone()} end"))


def children_at_work(pid: int) -> list[int]:
    kept = "backdrop-share"
    return [child for child in processes.children_of(pid) if processes.title(child) != kept]


@contextmanager
def crew(folder: Path, *options: str, workers: int = 2, **environment: str) -> Iterator[Crew]:
    command = ["runworkers", "--workers", str(workers), *options]
    yield from _running(Crew(folder, command, environment))


@contextmanager
def daemon(folder: Path, **environment: str) -> Iterator[Crew]:
    yield from _running(Crew(folder, ["rundaemon"], environment))


def _running(started: Crew) -> Iterator[Crew]:
    try:
        started.wait_ready()
        yield started
    finally:
        started.end()
        sys.stdout.write(started.log.read_text())  # shown where the test fails


class Work:
    """One task, as a test sees it."""

    def __init__(self, task: Task) -> None:
        self.pk = task.pk

    @property
    def row(self) -> Task:
        return Task.objects.get(pk=self.pk)

    @property
    def attempts(self) -> list[Attempt]:
        return list(Attempt.objects.filter(task_id=self.pk).order_by("number"))

    @property
    def outcomes(self) -> list[str]:
        return [attempt.outcome for attempt in self.attempts]

    @property
    def history(self) -> list[str]:
        return list(self.row.events.order_by("seq").values_list("message", flat=True))

    def ends(self, seconds: float = PATIENCE) -> Task:
        until(lambda: self.row.ended, seconds, f"{self.row.status} task ends")
        return self.row

    def runs(self, attempt: int = 1, seconds: float = PATIENCE) -> Attempt:
        """Wait until that attempt's process is known."""

        def known() -> Attempt | None:
            return Attempt.objects.filter(task=self.pk, number=attempt).exclude(child="").first()

        return until(known, seconds, f"attempt {attempt} runs; {self.row.status}")


class Ledger:
    """What jobs wrote down outside, with task, attempt and time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lines(self) -> list[list[str]]:
        return (
            [line.split() for line in self.path.read_text().splitlines()]
            if self.path.exists()
            else []
        )

    def of(self, work: Work, what: str) -> list[int]:
        """The attempts that wrote this."""
        return [int(line[1]) for line in self.lines if line[0] == str(work.pk) and line[3] == what]

    def overlaps(self, work: Work) -> bool:
        """Whether an attempt showed a sign of life after the next one had begun."""
        spans: dict[int, list[float]] = {}
        for line in self.lines:
            if line[0] == str(work.pk):
                spans.setdefault(int(line[1]), []).append(float(line[4]))
        order = sorted(spans)
        return any(max(spans[a]) > min(spans[b]) for a, b in pairwise(order))

    def wait_for(self, work: Work, what: str, attempt: int = 1) -> None:
        until(lambda: attempt in self.of(work, what), what=f"attempt {attempt} writes {what}")


class Toys:
    """Pushes toy jobs."""

    def __init__(self, team, folder: Path) -> None:
        self.team, self.folder = team, folder
        self.ledger = Ledger(folder / "ledger")

    def push(self, kind: str, *, args: dict[str, Any] | None = None, **options: Any) -> Work:
        asked = {"ledger": str(self.ledger.path), **(args or {})}
        return Work(queue.push(job=f"toy-{kind}", team=self.team, args=asked, **options))
