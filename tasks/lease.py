"""The hold of one attempt on its row: renewing it, and writing what the attempt reports."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from django.conf import settings
from django.db import (
    DatabaseError,
    InterfaceError,
    InternalError,
    OperationalError,
    connection,
    transaction,
)
from django.db.models import F

from tasks import clock, fuse, processes
from tasks.live import nudges
from tasks.models import Attempt, Event, Task
from tasks.states import Status

logger = logging.getLogger(__name__)

RATE_WINDOW = 10.0  # seconds over which the rate is taken
FUSE_SECONDS = 0.5  # past the lease's end; others take the task half a second after that
LOG_LINES = 2_000  # of one attempt; a job that writes more is cut off

DOWN = (OperationalError, InterfaceError, InternalError)
"""The database is away, or our session with it is spoilt: try again on a new one."""


class Hold(Enum):
    """What the row said when it was last asked."""

    OURS = auto()
    CANCEL = auto()  # ours, and somebody wants it stopped
    LOST = auto()  # another's, or ended: change nothing any more
    UNKNOWN = auto()  # the database could not be asked


@dataclass(frozen=True, slots=True)
class LogLine:
    text: str
    level: str


class Rate:
    """Units a second over the last seconds; begins anew where the count goes back."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, done: int) -> float | None:
        now = processes.now()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] < now - RATE_WINDOW:
            self._seen.popleft()
        (begun, first), (ended, last) = self._seen[0], self._seen[-1]
        return round((last - first) / (ended - begun), 1) if ended > begun else None


class Lease:
    """One attempt's lease. `until` is by our own clock, taken before each renewal was sent:
    we always let go before others may take the task.
    """

    def __init__(self, task: Task, since: float) -> None:
        """`since`: `processes.now()` of before the task was claimed."""
        self.until = since + settings.LEASE_SECONDS
        self.fused = False
        """Whether this process dies a little after the lease's end; see `light_fuse`."""
        self.cancel_requested = False
        self.opened: list[dict[str, str]] = []
        self._task = task
        self._child = 0
        self._fields: dict[str, Any] = {}
        self._lines: list[LogLine] = []
        self._logged = 0
        self._rate = Rate()
        self._warned = False

    @property
    def over(self) -> bool:
        return bool(processes.now() >= self.until)

    @property
    def dirty(self) -> bool:
        """Whether a watcher could see something new once this is written."""
        return bool(self._fields or self._lines)

    def light_fuse(self) -> None:
        """From now on this process dies where it is kept from stopping the attempt in time."""
        self.fused = True
        fuse.light(self.until + FUSE_SECONDS)

    def put_out_fuse(self) -> None:
        """The attempt's process is gone."""
        self.fused = False
        fuse.put_out()

    def note_child(self, pid: int) -> None:
        self._child = pid

    def note_progress(self, done: int, total: int | None) -> None:
        rate = self._rate.add(done)
        self._fields |= {"progress_done": done, "progress_total": total, "progress_rate": rate}

    def note(self, **fields: Any) -> None:
        self._fields |= fields

    def note_line(self, text: str, level: str) -> None:
        self._logged += 1
        if self._logged < LOG_LINES:
            self._lines.append(LogLine(text, level))
        elif self._logged == LOG_LINES:
            self._lines.append(LogLine("Too many lines: the rest is left out.", "warning"))

    def renew(self) -> Hold:
        """Heartbeat, progress, fencing and cancel check in one statement; log lines are more."""
        sent = processes.now()
        try:
            hold = self._write()
        except DOWN as error:
            connection.close()
            self._warn("no renewal", error)
            return Hold.UNKNOWN
        except DatabaseError as error:
            self._fields, self._lines = {}, []
            logger.error(
                "Task %s: a report can't be stored: %s", self._task.pk, type(error).__name__
            )
            return Hold.UNKNOWN
        self._warned = False
        if hold is not Hold.LOST:
            self.until = sent + settings.LEASE_SECONDS
            if self.fused:
                self.light_fuse()
        return hold

    def _warn(self, what: str, error: Exception) -> None:
        """Once, until a renewal has come through again."""
        if not self._warned:
            logger.warning("Task %s: %s: %s", self._task.pk, what, type(error).__name__)
        self._warned = True

    def _write(self) -> Hold:
        lines = self._lines
        changes = {"lease_expires_at": clock.now(settings.LEASE_SECONDS), **self._fields}
        if self.dirty:
            changes |= {"updated_at": clock.now(), "seq": F("seq") + max(1, len(lines))}
        hold = self._write_with(lines, changes) if lines else self._update(changes)
        if hold is not Hold.LOST:
            if self.dirty:
                nudges.send()
            self._fields, self._lines = {}, []
            self._tell_child()
        return hold

    def _update(self, changes: dict[str, Any]) -> Hold:
        mine = Task.objects.filter(
            pk=self._task.pk, status=Status.RUNNING, attempt=self._task.attempt
        )
        if not self.cancel_requested:
            if mine.filter(cancel_requested_at__isnull=True).update(**changes):
                return Hold.OURS
            self.cancel_requested = mine.exists()
        # Asked to stop: the lease goes on until the attempt has been cleared away.
        return Hold.CANCEL if self.cancel_requested and mine.update(**changes) else Hold.LOST

    def _write_with(self, lines: list[LogLine], changes: dict[str, Any]) -> Hold:
        with transaction.atomic():
            hold = self._update(changes)
            if hold is not Hold.LOST:
                last = Task.objects.values_list("seq", flat=True).get(pk=self._task.pk)
                Event.objects.bulk_create(self._event(last - len(lines) + 1, lines))
        return hold

    def _event(self, first: int, lines: list[LogLine]) -> list[Event]:
        return [
            Event(
                task=self._task,
                seq=first + place,
                kind=Event.Kind.LOG,
                attempt=self._task.attempt,
                level=line.level,
                message=line.text,
            )
            for place, line in enumerate(lines)
        ]

    def _tell_child(self) -> None:
        """Write down, once, which process runs the job."""
        if self._child:
            self._attempt().update(child=processes.identity(self._child))
            self._child = 0

    def write_opened(self) -> Hold:
        """Store what is open outside, so that others can undo it should we all die."""
        try:
            stored = self._attempt().update(opened=self.opened)
        except DOWN as error:
            connection.close()
            self._warn("not stored yet", error)
            return Hold.UNKNOWN
        return Hold.OURS if stored else Hold.LOST

    def _attempt(self) -> Any:
        return Attempt.objects.filter(task_id=self._task.pk, number=self._task.attempt, outcome="")


class Guard:
    """Acts when the lease runs out even while the minder hangs in a database call.

    Short attempts end before the minder's first call and go without the thread.
    """

    def __init__(self, lease: Lease, act: Callable[[], None]) -> None:
        self._lease = lease
        self._act = act
        self._dismissed: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def _run(self, dismissed: threading.Event) -> None:
        while not dismissed.wait(max(0.0, self._lease.until - processes.now())):
            if self._lease.over:
                self._act()
                return

    def watch(self) -> None:
        if self._thread is None:
            self._dismissed = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._dismissed,), name="lease-guard", daemon=True
            )
            self._thread.start()

    def dismiss(self) -> None:
        if self._thread is not None and self._dismissed is not None:
            self._dismissed.set()
            self._thread.join()
