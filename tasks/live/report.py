"""What the outside is told of a task: the same figures by REST, long poll and socket."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID
from zlib import crc32

from django.urls import reverse

from tasks import places
from tasks.models import Event, Task
from tasks.places import Place
from tasks.states import Status


class Shared(dict[str, Any]):
    """What many are told alike: made text once, by the first who needs it."""

    @cached_property
    def text(self) -> str:
        return json.dumps(self, separators=(",", ":"))


def status_of(task: Task, place: Place | None) -> dict[str, Any]:
    """The body of `GET /task/status/<id>`, ready for JSON; `place` where it waits."""
    return {
        "id": str(task.pk),
        "job": task.job,
        "status": str(task.status),
        "message": task.message or (place.why if place else ""),
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
        "queue_position": place.position if place else None,
        "created_at": moment(task.created_at),
        "started_at": moment(task.started_at),
        "finished_at": moment(task.finished_at),
        "error": task.error or None,
        "result_url": result_url(task.pk) if task.status == Status.SUCCEEDED else None,
        "seq": task.seq,
    }


def told(task: Task, place: Place | None) -> dict[str, Any]:
    """What sockets send: the status, and what a page needs beside it."""
    more = {"title": task.title, "cancel_requested": task.cancel_requested_at is not None}
    return Shared({**status_of(task, place), **more})


def event_of(event: Event) -> dict[str, Any]:
    """One line of a task's history, ready for JSON."""
    return Shared(
        {
            "seq": event.seq,
            "at": moment(event.at),
            "kind": event.kind,
            "level": event.level,
            "attempt": event.attempt,
            "message": event.message,
            "data": event.data,
        }
    )


def positions(tasks: Iterable[Task]) -> dict[UUID, Place | None]:
    """Where the waiting ones stand in their queues."""
    return places.of_all(tasks)


def place_of(body: Mapping[str, Any]) -> Place | None:
    """The place that a status tells, to see whether it has changed."""
    if body["status"] != Status.QUEUED:
        return None
    return Place(body["queue_position"], body["message"])


def etag_of(body: Mapping[str, Any]) -> str:
    """Changes whenever the status would: `seq` numbers the row, others move its place."""
    place = place_of(body)
    if place is None:
        return f'"{body["seq"]}"'
    why = f"-{crc32(place.why.encode()):x}" if place.why else ""
    return f'"{body["seq"]}-{place.position or 0}{why}"'


def result_url(pk: UUID) -> str:
    return reverse("service-result", args=[pk])


def moment(value: datetime | None) -> str | None:
    """As JSON has it: RFC 3339, UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None
