"""The queue: pushing a task, claiming the best due one. The rows are the queue; nothing else is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet

from tasks import clock, processes, registry
from tasks.errors import IdempotencyConflictError, UnknownJobError
from tasks.live import nudges
from tasks.models import Attempt, Event, Task
from tasks.states import Status

if TYPE_CHECKING:
    from accounts.models import Team, User


def push(
    *,
    job: str,
    team: Team,
    owner: User | None = None,
    args: Mapping[str, Any] | None = None,
    title: str = "",
    subject: str = "",
    queue: str = "default",
    priority: int = 0,
    run_at: datetime | None = None,
    max_attempts: int | None = None,
    deadline_seconds: int | None = None,
    stall_seconds: int | None = None,
    idempotency_key: str | None = None,
    request_digest: str = "",
    status: Status = Status.QUEUED,
) -> Task:
    """Ask for work, in the caller's transaction; it may start once that has committed.

    Limits left out are the job's. With an `idempotency_key` the same request by the same owner
    gives the same task again (`task.fresh` tells which), another request under that key raises
    IdempotencyConflictError; a request is told by `request_digest`, else by job and args.
    With the status AWAITING_UPLOAD it waits for its file first.
    Raises UnknownJobError.
    """
    kind = known_job(job)
    asked = dict(args or {})
    digest = request_digest or digest_of(job, asked)
    if idempotency_key and (known := _same_request(team, owner, idempotency_key, digest)):
        return known
    task = Task(
        job=job,
        team=team,
        owner=owner,
        args=asked,
        title=(title or kind.title)[:200],
        subject=subject,
        queue=queue,
        priority=priority,
        run_at=run_at or clock.read(),
        max_attempts=max(1, max_attempts if max_attempts is not None else kind.max_attempts),
        deadline_seconds=deadline_seconds
        if deadline_seconds is not None
        else kind.deadline_seconds,
        stall_seconds=stall_seconds if stall_seconds is not None else kind.stall_seconds,
        idempotency_key=idempotency_key or None,
        request_digest=digest if idempotency_key else "",
        seq=1,
        status=status,
    )
    try:
        with transaction.atomic():
            task.save(force_insert=True)
            _note(task, by=owner)
            nudges.send()
    except IntegrityError:
        # Somebody else was first with this key; anything else is a real fault.
        if idempotency_key and (known := _same_request(team, owner, idempotency_key, digest)):
            return known
        raise
    task.fresh = True
    return task


def known_job(name: str) -> registry.Job:
    """The registered job; UnknownJobError tells the known names."""
    try:
        return registry.get(name)
    except KeyError as error:
        raise UnknownJobError(str(error.args[0])) from None


def digest_of(job: str, args: Mapping[str, Any]) -> str:
    """What tells one request from another when the caller gives no digest of its own."""
    text = json.dumps([job, args], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _same_request(team: Team, owner: User | None, key: str, digest: str) -> Task | None:
    task = Task.objects.filter(team=team, owner=owner, idempotency_key=key).first()
    if task is not None and task.request_digest != digest:
        raise IdempotencyConflictError(
            f"The idempotency key was used before, for another request (task {task.pk})."
        )
    return task


def _note(task: Task, *, by: User | None) -> None:
    message = f"Asked for by {by}" if by else "Asked for by the system"
    Event.objects.create(
        task=task, seq=task.seq, kind=Event.Kind.MOVE, message=message, data={"to": task.status}
    )


def due(queues: Sequence[str]) -> QuerySet[Task]:
    """The tasks that may start now, best first; served by the index `tasks_task_due`."""
    ready = Task.objects.filter(status=Status.QUEUED, queue__in=queues, run_at__lte=clock.now())
    return ready.order_by("-priority", "run_at")


def claim(queues: Sequence[str], worker: str) -> Task | None:
    """Take the best due task for `worker`: QUEUED -> RUNNING, a new attempt, its lease begun.

    None where nothing is due. Two claims never get the same task: rows locked by another are
    passed over where the database can, and the move is a compare-and-swap everywhere.
    """
    if connection.features.has_select_for_update_skip_locked:
        with transaction.atomic():
            locked = due(queues).select_for_update(skip_locked=True)
            task = locked.first()
            return task if task is not None and _take(task, worker) else None
    for candidate in _candidates(queues):
        with transaction.atomic():
            if _take(candidate, worker):
                return candidate
    return None


def _candidates(queues: Sequence[str]) -> Iterable[Task]:
    """The best due task, again and again: a reader without row locks may find it taken."""
    for _ in range(20):
        task = due(queues).first()
        if task is None:
            return
        yield task


def _take(task: Task, worker: str) -> bool:
    """Move it to RUNNING and make its attempt; False where somebody else was first."""
    lease = clock.now(settings.LEASE_SECONDS)
    changes: dict[str, Any] = {
        "status": Status.RUNNING,
        "attempt": task.attempt + 1,
        "tries": task.tries + 1,
        "seq": task.seq + 1,
        "worker": worker,
        "lease_expires_at": lease,
        "started_at": clock.now(),
        "updated_at": clock.now(),
        "progress_done": 0,
        "progress_total": None,
        "progress_rate": None,
        "message": "",
        "error": "",
    }
    same = Task.objects.filter(pk=task.pk, status=Status.QUEUED, seq=task.seq)
    if not same.update(**changes):
        return False
    for name in ("status", "attempt", "tries", "seq", "worker"):
        setattr(task, name, changes[name])
    Attempt.objects.create(
        task=task,
        number=task.attempt,
        worker=worker,
        host=processes.place(),
        minder=processes.own_identity(),
    )
    Event.objects.create(
        task=task,
        seq=task.seq,
        kind=Event.Kind.MOVE,
        attempt=task.attempt,
        message=f"Started by {worker}",
        data={"from": Status.QUEUED, "to": Status.RUNNING},
    )
    nudges.send()
    return True


def position(task: Task) -> int | None:
    """How many tasks of its queue start before it, plus one; None where it isn't waiting."""
    if task.status != Status.QUEUED:
        return None
    urgent = Q(priority__gt=task.priority) & (
        Q(run_at__lte=clock.now()) | Q(run_at__lt=task.run_at)
    )
    earlier = Q(priority=task.priority, run_at__lt=task.run_at)
    waiting = Task.objects.filter(urgent | earlier, status=Status.QUEUED, queue=task.queue)
    return waiting.count() + 1
