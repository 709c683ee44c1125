"""How each queue stands: what waits and runs, since when, who has room, what holds it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Q

from tasks import canaries, clock, crews, pauses, turns
from tasks.canaries import Standing
from tasks.crews import Slots
from tasks.models import Pause, Task
from tasks.states import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One queue, without the platform's own canaries."""

    name: str
    waiting: int = 0
    """Retries and what is to run later included."""
    oldest: float = 0.0
    """Seconds that the oldest of those that could start now has waited."""
    running: int = 0
    slots: Slots
    pause: Pause | None = None
    canary: Standing | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one queue."""

    count: int
    oldest: float


def waiting() -> Mapping[str, Waiting]:
    """By queue. What is held back, or waits for its turn at a key, doesn't wait for a worker."""
    now = clock.read()
    queued = canaries.hidden(Task.objects.filter(status=Status.QUEUED))
    free = Q(run_at__lte=now) & turns.free() & pauses.not_held()
    found = queued.order_by().values_list("queue")
    return {
        name: Waiting(count, _seconds(since, now))
        for name, count, since in found.annotate(n=Count("pk"), since=Min("run_at", filter=free))
    }


def _seconds(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def all() -> list[Queue]:
    """Every queue that something is known of, by name; a few queries, however much there is."""
    slots = crews.slots()
    queued = waiting()
    tasks = canaries.hidden(Task.objects.filter(status=Status.RUNNING)).order_by()
    running = dict(tasks.values_list("queue").annotate(n=Count("pk")))
    held = {
        pause.name: pause
        for pause in Pause.objects.filter(kind=Pause.Kind.QUEUE).select_related("by")
    }
    flights = canaries.standings(slots)
    names = {settings.QUEUE, *slots, *queued, *running, *held}
    return [
        Queue(
            name=name,
            slots=slots.get(name, Slots()),
            running=running.get(name, 0),
            pause=held.get(name),
            canary=flights.get(name),
            **_told(queued.get(name)),
        )
        for name in sorted(names)
    ]


def _told(queued: Waiting | None) -> dict[str, Any]:
    return {"waiting": queued.count, "oldest": queued.oldest} if queued else {}
