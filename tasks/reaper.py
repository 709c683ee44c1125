"""Rescues tasks whose worker has died, and finishes what the dead had left half done.

Any number may run at once on any machine: each move is a compare-and-swap. Who does what for all
machines is told by `tasks.upkeep`; what is told of one machine's processes, each sees to its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from tasks import clock, forks, processes, transitions, undoing
from tasks.models import Attempt, Task
from tasks.states import ENDED, Outcome, Status

logger = logging.getLogger(__name__)

MARGIN = 1.0  # seconds past the lease's end, for a minder to kill its child in
AT_ONCE = 100
UNDO_SECONDS = 30.0
OTHERS_SECONDS = 10.0  # that the workers of a task's queue have before others try to undo


def reap() -> int:
    """Rescue what can be rescued now; how many tasks were moved."""
    return reap_dead_minders() + reap_expired() + expire_overdue()


def reap_here() -> int:
    """The same for attempts of this machine alone, whose processes nobody else can see or kill."""
    return reap_dead_minders() + reap_expired(here=True)


def late_leases(waited: float = 0.0) -> QuerySet[Task]:
    """RUNNING tasks whose lease ran out, so many seconds ago beside the margin."""
    late = Q(lease_expires_at__lt=clock.now(-MARGIN - waited))
    return Task.objects.filter(late, status=Status.RUNNING)


def reap_expired(*, here: bool = False) -> int:
    """RUNNING tasks whose lease ran out go back to the queue, or fail where no try is left."""
    late = Q(lease_expires_at__lt=clock.now(-MARGIN))
    rows = late_leases().order_by("lease_expires_at")
    if here:
        ours = Attempt.objects.filter(task=OuterRef("pk"), host=processes.place(), outcome="")
        rows = rows.filter(Exists(ours))
    moved = 0
    for task in rows[:AT_ONCE]:
        attempt = Attempt.objects.filter(task=task, number=task.attempt).first()
        if attempt is not None:
            _kill_here(attempt)
        told = (
            f"The worker {task.worker} stopped renewing its lease. "
            "Look at that machine and at its connection to the database."
        )
        moved += bool(
            transitions.finish(task.pk, task.attempt, Outcome.LOST, error=told, only_if=late)
        )
    return moved


def overdue(waited: float = 0.0) -> QuerySet[Task]:
    return Task.objects.filter(status=Status.QUEUED, expires_at__lte=clock.now(-waited))


def expire_overdue() -> int:
    """Waiting tasks whose time ran out fail; those that run are stopped by their minders."""
    return sum(transitions.expire(task) for task in overdue().order_by("expires_at")[:AT_ONCE])


def reap_dead_minders() -> int:
    """Attempts of this machine whose minder has died are lost at once: no lease need run out."""
    moved = 0
    for attempt in Attempt.objects.filter(host=processes.place(), outcome="").select_related(
        "task"
    ):
        if processes.is_alive(attempt.minder):
            continue
        _kill_here(attempt)
        told = "The worker process that minded it died. The attempt was stopped with it."
        if transitions.finish(attempt.task_id, attempt.number, Outcome.LOST, error=told):
            moved += 1
            continue
        # Its task has moved on without closing it, which only a fault of ours could cause.
        still = Q(task__status=Status.RUNNING, task__attempt=F("number"))
        gone = Attempt.objects.filter(pk=attempt.pk, outcome="").exclude(still)
        gone.update(outcome=Outcome.LOST, finished_at=clock.now())
    return moved


def _kill_here(attempt: Attempt) -> None:
    """Kill the attempt's process where it runs on this machine and its minder couldn't."""
    if attempt.host != processes.place():
        return
    for pid in _processes_of(attempt):
        processes.kill_group(pid)
        processes.kill(pid)


def _processes_of(attempt: Attempt) -> list[int]:
    """A minder that was stopped before it could write down its child's has it among its own."""
    if attempt.child:
        pid = int(attempt.child.partition(".")[0])
        return [pid] if processes.is_alive(attempt.child) else []
    if not processes.is_alive(attempt.minder):
        return []
    minder, wanted = int(attempt.minder.partition(".")[0]), processes.title_of(attempt.task_id)
    return [pid for pid in processes.children_of(minder) if processes.title(pid) == wanted]


def late_callbacks(waited: float = 0.0) -> QuerySet[Task]:
    return Task.objects.filter(callback_due_at__lt=clock.now(-waited), status__in=ENDED)


def call_callbacks() -> None:
    """`Job.ended` for tasks whose mover died before, or whose callback had failed."""
    for task_id in late_callbacks().values_list("pk", flat=True)[:AT_ONCE]:
        transitions.call_ended(task_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """Something that one process does for all machines."""

    late: Callable[[float], QuerySet[Any]]
    """Rows for which it has been due for so many seconds."""
    act: Callable[[], object]
    """Do it to all such rows, or to some of them; they are then late no more."""


DUTIES = {
    "leases": Duty(late=late_leases, act=reap_expired),
    "overdue": Duty(late=overdue, act=expire_overdue),
    "callbacks": Duty(late=late_callbacks, act=call_callbacks),
}


class Leftovers:
    """Undoes what closed attempts had left open outside: one at a time, in a process with a limit,
    and without waiting for it.

    Where it was opened may be out of others' reach: workers of the task's own queue come first.
    """

    def __init__(self, queues: Sequence[str]) -> None:
        self._queues = queues
        self._fork: forks.Fork | None = None
        self._limit = 0.0

    @property
    def busy(self) -> bool:
        return self._fork is not None

    def waiting(self) -> QuerySet[Attempt]:
        due = Attempt.objects.filter(undo_due_at__lt=clock.now()).exclude(outcome="")
        others = Q(undo_due_at__lt=clock.now(-OTHERS_SECONDS))
        return due.filter(Q(task__queue__in=self._queues) | others)

    def look(self) -> None:
        if self._fork is not None:
            if not self._fork.ended():
                if processes.now() > self._limit:
                    self._fork.kill()
                return
            self._fork = None
        attempt = self.waiting().order_by("undo_due_at").first()
        if attempt is None:
            return
        # Nobody else shall begin while we are at it, nor at once should it fail.
        mine = Attempt.objects.filter(pk=attempt.pk, undo_due_at=attempt.undo_due_at)
        if mine.update(undo_due_at=clock.now(UNDO_SECONDS + transitions.UNDO_AGAIN)):
            self._limit = processes.now() + UNDO_SECONDS
            self._fork = forks.Fork(lambda: undoing.main(attempt.task_id, attempt.number))
