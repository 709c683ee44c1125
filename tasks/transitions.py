"""The only module that moves tasks between states: by compare-and-swap, where a lost race is False.

Every visible change raises the task's `seq`; a move writes an event under the same number. Moving
to an ended state marks the callback `Job.ended` as due in the same statement, and calls it after
the commit. Whoever dies in between leaves the mark, and a reaper calls it again: at least once,
hence idempotent.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from django.db import DatabaseError, connection, transaction
from django.db.models import Case, F, Q, When
from django.utils import timezone

from tasks import clock, registry, rules, strokes, tallies, totals, turns, wakes
from tasks.lease import DOWN
from tasks.live import nudges
from tasks.models import Attempt, Event, Task
from tasks.states import ENDED, MOVES, Outcome, Status

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import User

logger = logging.getLogger(__name__)

CALLBACK_AGAIN = 10.0  # seconds after which a reaper calls `Job.ended` again
UNDO_AGAIN = 10.0


def move(
    task_id: UUID | str,
    was: Status,
    to: Status,
    *,
    attempt: int | None = None,
    only_if: Q | None = None,
    history: str = "",
    level: str = "info",
    row: Task | None = None,
    **changes: Any,
) -> bool:
    """Move a task from one state to another if it still is there, and in that attempt; else False.

    `changes` are further fields; `history` is what its history says; `row` spares a look where
    the caller holds its lock. Raises ValueError for a move that the table of states doesn't have.
    """
    if to not in MOVES[was]:
        raise ValueError(f"A task never moves from {was} to {to}.")
    if to in ENDED:
        changes |= {"finished_at": clock.now(), "lease_expires_at": None}
        job = row.job if row is not None else _job_of(task_id)
        changes["callback_due_at"] = clock.now(CALLBACK_AGAIN) if _calls_back(job) else None
    same = Task.objects.filter(only_if or Q(), pk=task_id, status=was)
    if attempt is not None:
        same = same.filter(attempt=attempt)
    with transaction.atomic(savepoint=False):
        if not same.update(status=to, seq=F("seq") + 1, updated_at=clock.now(), **changes):
            return False
        seq, number = (row.seq + 1, row.attempt) if row is not None else _numbers_of(task_id)
        Event.objects.create(
            task_id=task_id,
            seq=seq,
            attempt=number,
            kind=Event.Kind.MOVE,
            level=level,
            message=history or f"{was.label} -> {to.label}",
            data={"from": was, "to": to},
        )
        nudges.send()
        if was == Status.RUNNING and (row is None or row.concurrency_key):
            turns.give_back(task_id)
        if to == Status.QUEUED:
            wakes.send()
        if to in ENDED:
            tallies.count(task_id, was, to)
        if changes.get("callback_due_at") is not None:
            transaction.on_commit(lambda: call_ended(task_id))
    return True


def _numbers_of(task_id: UUID | str) -> tuple[int, int]:
    """The number of the change just made, and of the attempt."""
    return Task.objects.values_list("seq", "attempt").get(pk=task_id)


def _job_of(task_id: UUID | str) -> str:
    return Task.objects.values_list("job", flat=True).filter(pk=task_id).first() or ""


def _calls_back(job: str) -> bool:
    try:
        return bool(registry.after(registry.get(job)))
    except KeyError:
        return True  # a newer release may know it


def cancel(task: Task, *, by: User | None, within: str = "") -> bool:
    """Cancel a waiting task at once, ask a running one to stop; False where it has ended.

    `within` is a remark for its history: what this was part of.
    """
    who = _who(by, within)
    for _ in range(10):  # it may be claimed, or put back, while we look
        was = Status(Task.objects.values_list("status", flat=True).get(pk=task.pk))
        if was == Status.RUNNING:
            if _flag_cancel(task, who):
                return True
        elif Status.CANCELLED not in MOVES[was]:
            return False
        elif move(task.pk, was, Status.CANCELLED, history=f"Cancelled {who}"):
            return True
    return False


def _flag_cancel(task: Task, who: str) -> bool:
    """Ask the running attempt to stop; True also where that was asked before."""
    running = Task.objects.filter(pk=task.pk, status=Status.RUNNING)
    with transaction.atomic():
        asked = running.filter(cancel_requested_at__isnull=True).update(
            cancel_requested_at=clock.now(), seq=F("seq") + 1, updated_at=clock.now()
        )
        if asked:
            seq, number = _numbers_of(task.pk)
            Event.objects.create(
                task_id=task.pk,
                seq=seq,
                attempt=number,
                kind=Event.Kind.LOG,
                message=f"Asked to stop {who}",
            )
            nudges.send()
            return True
    return running.exists()


def retry(task: Task, *, by: User | None, within: str = "") -> bool:
    """Give a failed task fresh tries, and as much time as it had at first; one in quarantine is
    released: FAILED -> QUEUED. False where it isn't failed (any more). `within`: see `cancel`.
    """
    row = Task.objects.filter(pk=task.pk, status=Status.FAILED).first()
    if row is None:
        return False
    done = "Put back into the queue"
    if row.quarantined_at is not None:
        done = "Released from quarantine and put back into the queue"
    return move(
        row.pk,
        Status.FAILED,
        Status.QUEUED,
        attempt=row.attempt,
        history=f"{done} {_who(by, within)}",
        tries=0,
        crashes=0,
        quarantined_at=None,
        run_at=clock.now(),
        expires_at=_fresh_end(row),
        finished_at=None,
        cancel_requested_at=None,
        callback_due_at=None,
        **rules.clean_slate(),
    )


def _who(by: User | None, within: str) -> str:
    who = f"by {by}" if by else "by the system"
    return f"{who} {within}".strip()


def _fresh_end(row: Task) -> Any:
    """When the time of a task that is put back runs out, where it is limited."""
    if row.expires_at is None:
        return None
    try:
        seconds = registry.get(row.job).total_seconds
    except KeyError:
        seconds = None
    return clock.now(seconds or (row.expires_at - row.created_at).total_seconds())


def expire(task: Task) -> bool:
    """Fail a task that has waited past its end; False where it doesn't wait, or has time left."""
    told = "Its time ran out before it was done. Ask for it again, or give it more time."
    return move(
        task.pk,
        Status.QUEUED,
        Status.FAILED,
        only_if=Q(expires_at__lte=clock.now()),
        history=told,
        level="error",
        error=f"{told} The last try: {task.error}" if task.error else told,
    )


def finish(
    task_id: UUID | str,
    attempt: int,
    outcome: Outcome,
    *,
    error: str = "",
    result: Any = None,
    permanent: bool = False,
    retry_after: float | None = None,
    blameless: bool = False,
    only_if: Q | None = None,
) -> Status | None:
    """End an attempt and move its task to where `tasks.rules` has it go; the state reached.

    None, and nothing changed, where the attempt has lost the task by now (or `only_if` fails).
    A task that was asked to stop never goes back to the queue. `blameless`: the task itself has
    not killed its process.
    """
    with transaction.atomic():
        row = Task.objects.select_for_update().filter(pk=task_id).first()
        if row is None or row.status != Status.RUNNING or row.attempt != attempt:
            return None
        ruling = rules.rule(
            row,
            outcome,
            error=error,
            result=result,
            permanent=permanent,
            retry_after=retry_after,
            blameless=blameless,
        )
        to = ruling.to
        moved = move(
            task_id,
            Status.RUNNING,
            to,
            attempt=attempt,
            only_if=only_if,
            history=_story(row, outcome, error, ruling.remark),
            row=row,
            level="info" if to in (Status.SUCCEEDED, Status.CANCELLED) or not error else "error",
            **ruling.changes,
        )
        if not moved:
            return None
        _close_attempt(task_id, attempt, outcome, error)
        if outcome != Outcome.SUCCEEDED:
            totals.add(totals.ATTEMPT, row.job, outcome)
    return to


class Along(Protocol):
    """Who would like to claim another task in the transaction of a plain success."""

    def wish(self) -> strokes.Wish | None:
        """What to claim; None for nothing."""

    def take(self, task: Task | None) -> None:
        """That was claimed."""

    def forget(self) -> None:
        """That transaction was rolled back, or so it seems."""


def succeed(task: Task, result: Any, *, along: Along | None = None) -> Status | None:
    """`finish` for an attempt that went well: in one statement where that is all there is to it.

    `along` is left out where `Job.ended` is to be called, which may take its time.
    """
    if strokes.can() and not task.concurrency_key:
        callback = CALLBACK_AGAIN if _calls_back(task.job) else None
        if _succeed_plainly(task, result, callback, along if callback is None else None):
            if callback is not None:
                transaction.on_commit(lambda: call_ended(task.pk))
            return Status.SUCCEEDED
    return finish(task.pk, task.attempt, Outcome.SUCCEEDED, result=result)


def _succeed_plainly(task: Task, result: Any, callback: float | None, along: Along | None) -> bool:
    wish = along.wish() if along is not None else None
    if along is None or wish is None:
        done = strokes.succeed(task.pk, task.attempt, result, callback=callback)
    else:
        try:
            done, another = strokes.succeed_and_take(task.pk, task.attempt, result, wish)
        except DatabaseError as error:
            along.forget()
            if isinstance(error, DOWN):
                raise
            return _succeed_plainly(task, result, callback, None)
        along.take(another)
    if done:
        nudges.send()
    return done


def _story(row: Task, outcome: Outcome, error: str, remark: str) -> str:
    told = f"{outcome.label}: {error}" if error else f"{outcome.label}{'.' if remark else ''}"
    return f"Attempt {row.attempt}: {told} {remark}".strip()


def _close_attempt(task_id: UUID | str, number: int, outcome: Outcome, error: str) -> None:
    Attempt.objects.filter(task_id=task_id, number=number).update(
        outcome=outcome,
        error=error,
        finished_at=clock.now(),
        undo_due_at=Case(When(opened=[], then=None), default=clock.now()),
    )


def call_ended(task_id: UUID | str) -> None:
    """Call `Job.ended` where it is due; one that fails is called again later. Never raises."""
    try:
        _call_ended(task_id)
    except Exception as error:  # of the database: the mark stays, and a reaper sees it
        connection.close()
        logger.warning("Task %s: callback not called yet: %s", task_id, type(error).__name__)


def _call_ended(task_id: UUID | str) -> None:
    waiting = Task.objects.filter(pk=task_id, status__in=ENDED, callback_due_at__isnull=False)
    task = waiting.first()
    if task is None:
        return
    try:
        for call in registry.after(registry.get(task.job)):
            call(task)
    except Exception as error:
        # Waits as long again as it has waited, so that a callback that never works costs little.
        age = (timezone.now() - (task.finished_at or timezone.now())).total_seconds()
        wait = min(3600.0, max(CALLBACK_AGAIN, age))
        waiting.update(callback_due_at=clock.now(wait))
        logger.error(
            "After task %s ended, %s.ended failed with %s; it is called again in %d s.",
            task.pk,
            task.job,
            type(error).__name__,
            wait,
        )
        return
    waiting.filter(attempt=task.attempt).update(callback_due_at=None)
