"""The process of one attempt: runs the job in a process group of its own and tells its minder."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings
from django.db import connection, connections

from tasks import artifacts, clock, memory, processes, reports
from tasks.errors import CancelledError, FencedError, JobError
from tasks.lease import DOWN
from tasks.models import Task
from tasks.registry import Job
from tasks.reports import Board
from tasks.states import Status
from tasks.uploads import inputs
from tasks.uploads.inputs import Input

logger = logging.getLogger(__name__)

CONFIRM_SECONDS = 60.0  # to go on asking the row while the database is away
_PLAIN_SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM, signal.SIGTERM)
LIKELIER_VICTIM = "500"  # out of memory, the kernel shall take this process and not its minder


def main(job: Job, task: Task, end: socket.socket, board: Board) -> NoReturn:
    """Run the job to its end and leave without the clean-up that belongs to the parent's copy."""
    try:
        settle_in(processes.title_of(task.pk))
        if job.memory_bytes is not None:
            memory.limit(job.memory_bytes)
        signal.signal(signal.SIGTERM, partial(_cancel, end))
        run(job, Report(task, end, board), end)
        connections.close_all()
    except BaseException:  # not even CancelledError may get back into the worker's code
        logger.error("The end of task %s could not be told to its minder", task.pk)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)


def settle_in(title: str) -> None:
    """A session and group of our own, signals as in a new program."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in _PLAIN_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    processes.name_this(title)
    processes.untie_forks()  # a job's threads may end before what they have started
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(LIKELIER_VICTIM)
    sys.addaudithook(_guard_before_starting)


def _cancel(end: socket.socket, number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: the clean-up shall not be cancelled too
    with suppress(OSError):
        reports.send(end, "stopping")
    raise CancelledError


def run(job: Job, report: Report, end: socket.socket) -> bool:
    """Run the job and tell how it ended; whether that was in one of the ways that jobs may end."""
    try:
        signal.signal(signal.SIGTERM, partial(_cancel, end))
        result = job.run(report)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        reports.send_result(end, result)
        return True
    except CancelledError:
        reports.send(end, "cancelled")
    except FencedError:
        reports.send(end, "fenced")
    except JobError as error:
        reports.send(
            end,
            "failed",
            error=str(error)[: reports.ERROR_LENGTH],
            permanent=error.permanent,
            retry_after=error.retry_after,
        )
        return True
    except BaseException as error:
        logger.error("Task %s: %s", report.task_id, _trace(error))
        again = not (job.memory_bytes and isinstance(error, MemoryError))  # the same limit, again
        reports.send(end, "failed", error=_sentence(error), permanent=not again, retry_after=None)
    return False


def _sentence(error: BaseException) -> str:
    """What people read of an unforeseen error: class and place, for its text may hold secrets."""
    name = type(error).__name__
    match error:
        case MemoryError():
            return "The job ran out of memory. Give the machine more, or the job less to do."
        case SystemExit():
            return f"The job ended its process itself ({name}). This is a fault of the job."
        case OSError(errno=int(number)):
            name = f"{name} ({os.strerror(number)})"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _is_ours(frame.filename)] or list(frames)
    place = f" in {Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""
    return f"The job stopped with an unexpected {name}{place}. The worker's log has the traceback."


def _is_ours(filename: str) -> bool:
    path = Path(filename)
    return path.is_relative_to(settings.BASE_DIR) and "site-packages" not in path.parts


def _trace(error: BaseException | None) -> str:
    """The traceback without the texts of the exceptions, which may hold secrets; causes first."""
    if error is None:
        return ""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    told = "".join(traceback.format_tb(error.__traceback__))
    return f"{_trace(before)}\n{type(error).__name__} (its text is not logged)\n{told}"


_guard = 0  # its process; -1 where there is none to be had


def _guard_before_starting(event: str, _: tuple[Any, ...]) -> None:
    if event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.system"):
        guard_group()


def guard_group() -> None:
    """See to it that programs started by the job die with it, even where its minder has died too.

    A shell in our group waits for the end of a pipe that only we hold, then kills the group. The
    kernel's own tie (PDEATHSIG) would not do: it is to the thread that started the program.
    """
    global _guard  # noqa: PLW0603 (one per process)
    if _guard:
        return
    _guard = -1
    waiting, held = os.pipe()
    os.register_at_fork(after_in_child=lambda: os.close(held))
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    script = "trap '' TERM INT HUP; read end; kill -9 0"
    actions = [(os.POSIX_SPAWN_DUP2, waiting, 0), *null]
    try:
        _guard = os.posix_spawn("/bin/sh", ["sh", "-c", script], {}, file_actions=actions)
    except OSError as error:
        logger.warning("No guard for the programs of a job: %s", error.strerror)
    os.close(waiting)


def guard() -> int:
    """The process id of that shell, or less than 1."""
    return _guard


class Report:
    """The `registry.Context` of a running attempt."""

    def __init__(self, task: Task, end: socket.socket, board: Board) -> None:
        self.task_id = str(task.pk)
        self.attempt = task.attempt
        self.args: Mapping[str, Any] = task.args
        self._end = end
        self._board = board
        self._unit = ""
        self._asking = threading.Lock()
        self._asked = 0
        self._artifacts = 0

    def progress(self, done: int, total: int | None = None, *, unit: str = "bytes") -> None:
        if unit != self._unit:
            self._unit = unit
            reports.send(self._end, "unit", text=unit[:20])
        self._board.write(done, total)

    def message(self, text: str) -> None:
        reports.send(self._end, "message", text=str(text)[: reports.MESSAGE_LENGTH])

    def log(self, text: str, *, level: str = "info") -> None:
        reports.send(self._end, "log", text=str(text)[: reports.LOG_LENGTH], level=level[:10])

    def opened(self, kind: str, **ids: str) -> None:
        self._ask("opened", {**ids, "kind": kind})

    def closed(self, kind: str, **ids: str) -> None:
        self._ask("closed", {**ids, "kind": kind})

    def _ask(self, what: str, thing: Mapping[str, str]) -> None:
        """Tell the minder and wait until it has stored it."""
        if sum(len(str(value)) for value in thing.values()) > reports.IDS_LENGTH:
            raise ValueError(f"{what}: more than {reports.IDS_LENGTH} characters")
        with self._asking:
            self._asked += 1
            reports.send(self._end, what, thing=dict(thing), number=self._asked)
            # A cancel may have left an answer unread: skip those of earlier questions.
            while answer := reports.receive(self._end):
                if answer.get("number") == self._asked:
                    return
        raise FencedError

    def input(self) -> AbstractContextManager[Input]:
        return inputs.given(self.task_id)

    def artifact(self, name: str, content_type: str = "") -> AbstractContextManager[Path]:
        self._artifacts += 1
        return artifacts.making(self, name, content_type, self._artifacts)

    def confirm(self) -> None:
        row = self._ask_row()
        if row is None:
            raise FencedError
        if row[0] is not None:
            raise CancelledError

    def _ask_row(self) -> tuple[datetime | None] | None:
        """When we were asked to stop; None where the row is another's. While the database is away
        it asks again: should that last, the minder ends us with the lease."""
        mine = Task.objects.filter(
            pk=self.task_id,
            status=Status.RUNNING,
            attempt=self.attempt,
            lease_expires_at__gt=clock.now(),
        )
        limit = processes.now() + CONFIRM_SECONDS
        while True:
            try:
                return mine.values_list("cancel_requested_at").first()
            except DOWN:
                if connection.in_atomic_block or processes.now() > limit:
                    raise
                connection.close()
                time.sleep(settings.HEARTBEAT_SECONDS)
