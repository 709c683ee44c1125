"""Rescues tasks whose worker has died, and finishes what the dead had left half done.

Any number may run at once on any machine: each move is a compare-and-swap.
"""

from __future__ import annotations

import logging

from django.db.models import F, Q

from tasks import clock, forks, processes, transitions, undoing
from tasks.models import Attempt, Task
from tasks.states import ENDED, Outcome, Status

logger = logging.getLogger(__name__)

MARGIN = 1.0  # seconds past the lease's end, for a minder to kill its child in
AT_ONCE = 100
UNDO_SECONDS = 30.0


def reap() -> int:
    """Rescue what can be rescued now; how many tasks were moved."""
    return reap_dead_minders() + reap_expired()


def reap_expired() -> int:
    """RUNNING tasks whose lease ran out go back to the queue, or fail where no try is left."""
    late = Q(lease_expires_at__lt=clock.now(-MARGIN))
    rows = Task.objects.filter(late, status=Status.RUNNING).order_by("lease_expires_at")
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
    if attempt.host == processes.place() and processes.is_alive(attempt.child):
        pid = int(attempt.child.partition(".")[0])
        processes.kill_group(pid)
        processes.kill(pid)


def call_callbacks() -> None:
    """`Job.ended` for tasks whose mover died before, or whose callback had failed."""
    due = Task.objects.filter(callback_due_at__lt=clock.now(), status__in=ENDED)
    for task_id in due.values_list("pk", flat=True)[:AT_ONCE]:
        transitions.call_ended(task_id)


class Leftovers:
    """Undoes what closed attempts had left open outside: one at a time, in a process with a limit,
    and without waiting for it.
    """

    def __init__(self) -> None:
        self._fork: forks.Fork | None = None
        self._limit = 0.0

    def look(self) -> None:
        if self._fork is not None:
            if not self._fork.ended():
                if processes.now() > self._limit:
                    self._fork.kill()
                return
            self._fork = None
        due = Attempt.objects.filter(undo_due_at__lt=clock.now()).exclude(outcome="")
        attempt = due.order_by("undo_due_at").first()
        if attempt is None:
            return
        # Nobody else shall begin while we are at it, nor at once should it fail.
        mine = Attempt.objects.filter(pk=attempt.pk, undo_due_at=attempt.undo_due_at)
        if mine.update(undo_due_at=clock.now(UNDO_SECONDS + transitions.UNDO_AGAIN)):
            self._limit = processes.now() + UNDO_SECONDS
            self._fork = forks.Fork(lambda: undoing.main(attempt.task_id, attempt.number))
