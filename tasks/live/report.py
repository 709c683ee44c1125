"""What the outside is told of a task: the same figures by REST, long poll and socket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.urls import reverse

from tasks import queue
from tasks.models import Event, Task
from tasks.states import Status

COUNTED_ALONE = 5
LINE_ROWS = 5000


def status_of(task: Task, position: int | None) -> dict[str, Any]:
    """The body of `GET /task/status/<id>`, ready for JSON."""
    return {
        "id": str(task.pk),
        "job": task.job,
        "status": str(task.status),
        "message": task.message,
        "progress": {
            "done": task.progress_done,
            "total": task.progress_total,
            "unit": task.progress_unit,
            "percent": task.percent,
            "rate": task.progress_rate,
            "eta_seconds": task.eta_seconds,
        },
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        "queue_position": position,
        "created_at": _moment(task.created_at),
        "started_at": _moment(task.started_at),
        "finished_at": _moment(task.finished_at),
        "error": task.error or None,
        "result_url": result_url(task.pk) if task.status == Status.SUCCEEDED else None,
        "seq": task.seq,
    }


def told(task: Task, position: int | None) -> dict[str, Any]:
    """What sockets send: the status, and what a page needs beside it."""
    more = {"title": task.title, "cancel_requested": task.cancel_requested_at is not None}
    return {**status_of(task, position), **more}


def event_of(event: Event) -> dict[str, Any]:
    """One line of a task's history, ready for JSON."""
    return {
        "seq": event.seq,
        "at": _moment(event.at),
        "kind": event.kind,
        "level": event.level,
        "attempt": event.attempt,
        "message": event.message,
        "data": event.data,
    }


def positions(tasks: Iterable[Task]) -> dict[UUID, int | None]:
    """Where the waiting ones stand in their queues: a few counts, or one list of a whole queue."""
    by_queue = defaultdict[str, list[Task]](list)
    for task in tasks:
        if task.status == Status.QUEUED:
            by_queue[task.queue].append(task)
    found: dict[UUID, int | None] = {}
    for name, waiting in by_queue.items():
        if len(waiting) <= COUNTED_ALONE:
            found |= {task.pk: queue.position(task) for task in waiting}
        else:
            line = Task.objects.filter(queue=name, status=Status.QUEUED)
            ordered = line.order_by("-priority", "run_at").values_list("pk", flat=True)
            places = {pk: place for place, pk in enumerate(ordered[:LINE_ROWS], start=1)}
            found |= {task.pk: places.get(task.pk) for task in waiting}
    return found


def etag_of(seq: int, position: int | None) -> str:
    """Changes whenever the status would: `seq` numbers the row, others move the position."""
    return f'"{seq}"' if position is None else f'"{seq}-{position}"'


def result_url(pk: UUID) -> str:
    return reverse("service-result", args=[pk])


def _moment(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None
