"""Where waiting tasks stand in their queues, and what holds them back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import BooleanField, Case, Q, Value, When

from tasks import clock, pauses, turns
from tasks.models import Pause, Task
from tasks.states import Status

COUNTED_ALONE = 5
LINE_ROWS = 5000


class Place(NamedTuple):
    """`position` is 1 for the next one; None while a pause holds it back, or nobody knows."""

    position: int | None
    why: str = ""
    """What it waits for besides those before it, as a sentence."""


def of(task: Task) -> Place | None:
    """The place of one task; None where it isn't waiting."""
    return of_all([task]).get(task.pk)


def of_all(tasks: Iterable[Task]) -> dict[UUID, Place | None]:
    """The places of the waiting ones: a few counts, or one list of a whole queue."""
    by_queue = defaultdict[str, list[Task]](list)
    for task in tasks:
        if task.status == Status.QUEUED:
            by_queue[task.queue].append(task)
    found: dict[UUID, Place | None] = {}
    known = list(Pause.objects.all()) if by_queue else []
    for queue, waiting in by_queue.items():
        free = []
        for task in waiting:
            held = pauses.over(task, known)
            if held is None:
                free.append(task)
            else:
                found[task.pk] = Place(None, pauses.sentence(held))
        if len(free) <= COUNTED_ALONE:
            found |= {task.pk: _count(task) for task in free}
        else:
            found |= _line(queue, free)
    return found


def _count(task: Task) -> Place:
    """How many of its queue start before it, plus one. Others that wait for their turn at a key
    don't; those that wait at the same key do."""
    urgent = Q(priority__gt=task.priority) & (
        Q(run_at__lte=clock.now()) | Q(run_at__lte=task.run_at)
    )
    earlier = Q(priority=task.priority, run_at__lt=task.run_at)
    queued = Task.objects.filter(status=Status.QUEUED)
    ahead = pauses.without(queued.filter(urgent | earlier, queue=task.queue))
    if not task.concurrency_key:
        return Place(ahead.filter(turns.free()).count() + 1)
    ahead = ahead.filter(turns.free() | Q(concurrency_key=task.concurrency_key))
    # One that has just left the queue waits for nobody, least of all for itself.
    is_held = queued.filter(~turns.free(), pk=task.pk).exists()
    return Place(ahead.count() + 1, _waits_at(task.concurrency_key) if is_held else "")


def _line(queue: str, waiting: Iterable[Task]) -> dict[UUID, Place | None]:
    """The same from one list of all that wait there, as far as it is read."""
    wanted = {task.pk for task in waiting}
    places: dict[UUID, Place | None] = {}
    counted, alike, last = _Ahead(), _Ahead(), None
    for row in _rows(queue):
        if last is None or (row.priority, row.run_at) != (last.priority, last.run_at):
            counted.add(alike)  # none of those that came in the same moment is before another
            alike = _Ahead()
        if row.pk in wanted:
            position = counted.of(row.priority, "" if row.free else row.key) + 1
            places[row.pk] = Place(position, "" if row.free else _waits_at(row.key))
        alike.note(row)
        last = row
    return {pk: places.get(pk) or Place(None) for pk in wanted}


class _Row(NamedTuple):
    pk: UUID
    priority: int
    run_at: datetime
    key: str
    free: bool
    due: bool


def _rows(queue: str) -> list[_Row]:
    """Those whose moment has come, in the order in which they start, then those to come."""
    free = Case(When(turns.free(), then=Value(True)), default=False, output_field=BooleanField())
    due = Case(
        When(run_at__lte=clock.now(), then=Value(True)), default=False, output_field=BooleanField()
    )
    queued = pauses.without(Task.objects.filter(queue=queue, status=Status.QUEUED))
    found = queued.annotate(free=free, due=due).order_by("-priority", "run_at")
    columns = ("pk", "priority", "run_at", "concurrency_key", "free", "due")
    rows = [_Row(*row) for row in found.values_list(*columns)[:LINE_ROWS]]
    return sorted(rows, key=_order)


def _order(row: _Row) -> tuple[Any, ...]:
    if row.due:
        return False, -row.priority, row.run_at
    return True, row.run_at, -row.priority


class _Ahead:
    """How many stand before: by priority those that may start, and those that wait at a key."""

    def __init__(self) -> None:
        self._free, self._held = Counter[int](), Counter[tuple[int, str]]()

    def note(self, row: _Row) -> None:
        if row.free:
            self._free[row.priority] += 1
        else:
            self._held[row.priority, row.key] += 1

    def add(self, other: _Ahead) -> None:
        self._free += other._free
        self._held += other._held

    def of(self, priority: int, key: str) -> int:
        """Before one of that priority that waits at that key (none: it waits at none)."""
        free = sum(count for each, count in self._free.items() if each >= priority)
        if not key:
            return free
        held = self._held.items()
        return free + sum(n for (each, at), n in held if each >= priority and at == key)


def _waits_at(key: str) -> str:
    return f"Waits for its turn at {key}."


def tell(tasks: Iterable[Task]) -> None:
    """Set the `message` of waiting tasks to what holds them back, for pages; nothing is saved."""
    listed = list(tasks)
    places = of_all(listed)
    for task in listed:
        place = places.get(task.pk)
        if place is not None and place.why and not task.message:
            task.message = place.why
