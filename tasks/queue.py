"""The queue: pushing a task, claiming the best due one. The rows are the queue; nothing else is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from tasks import clock, pauses, places, processes, registry, strokes, transitions, turns, wakes
from tasks.errors import IdempotencyConflictError, UnknownJobError
from tasks.live import nudges
from tasks.models import Attempt, Event, Task
from tasks.retries import Backoff
from tasks.states import Status, WhenBusy

if TYPE_CHECKING:
    from accounts.models import Team, User

CLAIMS = 20  # of one call: others may be quicker, or a key be taken
MOST_AT_A_KEY = 1000


def push(
    *,
    job: str,
    team: Team,
    owner: User | None = None,
    args: Mapping[str, Any] | None = None,
    title: str = "",
    subject: str = "",
    queue: str = "",
    priority: int = 0,
    run_at: datetime | None = None,
    max_attempts: int | None = None,
    deadline_seconds: int | None = None,
    stall_seconds: int | None = None,
    total_seconds: float | None = None,
    expires_at: datetime | None = None,
    backoff: Backoff | None = None,
    concurrency_key: str = "",
    concurrency_limit: int = 1,
    when_busy: WhenBusy | str = WhenBusy.WAIT,
    idempotency_key: str | None = None,
    request_digest: str = "",
    status: Status = Status.QUEUED,
) -> Task:
    """Ask for work, in the caller's transaction; it may start once that has committed.

    Limits left out are the job's, a queue left out is this machine's. It fails where it hasn't
    ended by `expires_at`, or `total_seconds` after it may first start. Of all tasks with the same
    `concurrency_key`, of whatever team, no more than `concurrency_limit` run at once; one that
    finds its key taken waits, or with `when_busy="skip"` is cancelled. With an `idempotency_key`
    the same request by the same owner gives the same task again (`task.fresh` tells which), another
    request under that key raises IdempotencyConflictError; a request is told by `request_digest`,
    else by job and args. With the status AWAITING_UPLOAD it waits for its file first.
    Raises UnknownJobError, and ValueError for limits that make no sense.
    """
    kind = known_job(job)
    _check(backoff, concurrency_key, concurrency_limit, total_seconds, expires_at)
    asked = dict(args or {})
    digest = (request_digest or digest_of(job, asked)) if idempotency_key else ""
    if idempotency_key and (known := _same_request(team, owner, idempotency_key, digest)):
        return known
    task = Task(
        job=job,
        team=team,
        owner=owner,
        args=asked,
        title=(title or kind.title)[:200],
        subject=subject,
        queue=queue or settings.QUEUE,
        priority=priority,
        max_attempts=max(1, max_attempts if max_attempts is not None else kind.max_attempts),
        deadline_seconds=deadline_seconds
        if deadline_seconds is not None
        else kind.deadline_seconds,
        stall_seconds=stall_seconds if stall_seconds is not None else kind.stall_seconds,
        expires_at=expires_at,
        backoff=backoff.stored() if backoff is not None else None,
        concurrency_key=concurrency_key,
        concurrency_limit=concurrency_limit,
        when_busy=WhenBusy(when_busy),
        idempotency_key=idempotency_key or None,
        request_digest=digest,
        seq=1,
        status=status,
    )
    seconds = total_seconds or kind.total_seconds
    try:
        _insert(task, run_at, seconds)
    except IntegrityError:
        # Somebody else was first with this key; anything else is a real fault.
        if idempotency_key and (known := _same_request(team, owner, idempotency_key, digest)):
            return known
        raise
    task.fresh = True
    return task


def _check(
    backoff: Backoff | None,
    key: str,
    limit: int,
    total_seconds: float | None,
    expires_at: datetime | None,
) -> None:
    if backoff is not None and not isinstance(backoff, Backoff):
        raise ValueError("backoff: a Backoff.")
    if len(key) > 200:
        raise ValueError("concurrency_key: 200 characters at most.")
    if not 1 <= limit <= MOST_AT_A_KEY:
        raise ValueError(f"concurrency_limit: from 1 to {MOST_AT_A_KEY}.")
    if total_seconds is not None and total_seconds <= 0:
        raise ValueError("total_seconds: more than 0.")
    if total_seconds is not None and expires_at is not None:
        raise ValueError("Either expires_at or total_seconds.")


def _insert(task: Task, run_at: datetime | None, seconds: float | None) -> None:
    """Write it down, to begin then or at once. IntegrityError, and the caller's transaction is as
    it was, where there is one with its key."""
    told = f"Asked for by {task.owner or 'the system'}"
    if strokes.can_push():
        within = connection.in_atomic_block and task.idempotency_key
        with transaction.atomic() if within else nullcontext():
            strokes.push(task, run_at, seconds, told)
    else:
        task.run_at = run_at or clock.read()
        if seconds and task.expires_at is None:
            task.expires_at = task.run_at + timedelta(seconds=seconds)
        with transaction.atomic():
            task.save(force_insert=True)
            _note(task, told)
    nudges.send()
    wakes.send((run_at - timezone.now()).total_seconds() if run_at else 0.0)


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


def _note(task: Task, message: str) -> None:
    Event.objects.create(
        task=task, seq=task.seq, kind=Event.Kind.MOVE, message=message, data={"to": task.status}
    )


def due(queues: Sequence[str], *, now: Any = None) -> QuerySet[Task]:
    """The tasks a claim would take now, best first; served by the index `tasks_task_due`.

    Left out is what is paused, out of time, or waits for its turn at a key.
    """
    now = clock.now() if now is None else now
    ready = Task.objects.filter(status=Status.QUEUED, queue__in=queues, run_at__lte=now)
    in_time = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    return pauses.without(ready.filter(in_time, turns.decidable())).order_by("-priority", "run_at")


def claim(queues: Sequence[str], worker: str) -> Task | None:
    """Take the best due task for `worker`: QUEUED -> RUNNING, a new attempt, its lease begun.

    None where nothing is due. Two claims never get the same task: rows locked by another are
    passed over where the database can, and the move is a compare-and-swap everywhere. One whose
    turn somebody else took in the same moment is left to wait, or skipped as it says.
    """
    for _ in range(CLAIMS):
        task, taken = _claim_best(queues, worker)
        if task is None or taken:
            return task
        if task.concurrency_key and task.when_busy == WhenBusy.SKIP:
            _skip(task)
    return None


def wish(queues: Sequence[str], worker: str) -> strokes.Wish:
    """What `claim` takes, where that is plain."""
    return strokes.Wish(due, queues, worker)


def _claim_best(queues: Sequence[str], worker: str) -> tuple[Task | None, bool]:
    """The best due task, and whether it is ours now."""
    if strokes.can():
        task, some = strokes.take(wish(queues, worker))
        if task is not None:
            nudges.send()
        if task is not None or not some:
            return task, task is not None
    if connection.features.has_select_for_update_skip_locked:
        with transaction.atomic():
            task = due(queues).select_for_update(skip_locked=True).first()
            return task, task is not None and _take(task, worker)
    task = due(queues).first()  # perhaps another's by the time we write
    if task is None:
        return None, False
    with transaction.atomic():
        return task, _take(task, worker)


def _take(task: Task, worker: str) -> bool:
    """Move it to RUNNING, take its turn and make its attempt; False, and nothing of it written,
    where somebody else was first.
    """
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
    if not pauses.without(same).update(**changes):
        return False
    if not turns.take(task):
        transaction.set_rollback(True)
        return False
    if task.expires_at is not None:
        task.seconds_left = (task.expires_at - clock.read()).total_seconds()
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


def _skip(task: Task) -> None:
    """Cancel a task whose key is taken and that doesn't want to wait."""
    other = turns.holder(task.concurrency_key)
    if other is None:
        return  # the place was given back meanwhile
    told = f"Skipped: {other} ({other.pk}) has its turn at {task.concurrency_key}."
    transitions.move(
        task.pk,
        Status.QUEUED,
        Status.CANCELLED,
        only_if=Q(seq=task.seq),
        history=told,
        message=told[:500],
    )


def position(task: Task) -> int | None:
    """How many tasks of its queue start before it, plus one; None where it isn't waiting, or
    nobody knows, as it is paused."""
    place = places.of(task)
    return place.position if place is not None else None
