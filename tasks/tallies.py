"""Counting tasks as they end, so that the figures survive the deletion of the rows."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import F

from tasks.models import Tally, Task
from tasks.states import Status

if TYPE_CHECKING:
    from uuid import UUID

SHARDS = 16
INFINITE = float("inf")
BOUNDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, INFINITE)
"""Seconds, rising. They may change: what was counted under older ones still adds up."""


def shard() -> int:
    """The rows that this process counts in. Two that end tasks of one kind at the same time then
    don't wait for each other, and the disk is waited for by both at once."""
    return os.getpid() % SHARDS if connection.vendor == "postgresql" else 0


def count(task_id: UUID | str, was: Status, to: Status) -> None:
    """Count a task that has just been moved to an ended state; inside that transaction.

    The lock on the tally's row is held until its end, so this comes late in it.
    """
    job, subject, began, ended = Task.objects.values_list(
        "job", "subject", "started_at", "finished_at"
    ).get(pk=task_id)
    seconds = 0.0
    bound = ""
    if was == Status.RUNNING and began is not None and ended is not None:
        seconds = max(0.0, (ended - began).total_seconds())
        bound = bound_of(seconds)
    _raise(Tally(job=job, subject=subject, status=to, le=bound, shard=shard()), seconds)


def bound_of(seconds: float) -> str:
    """The span that so many seconds fall into."""
    return f"{next(each for each in BOUNDS if seconds <= each):g}"


def _raise(tally: Tally, seconds: float) -> None:
    same = Tally.objects.filter(
        job=tally.job,
        subject=tally.subject,
        status=tally.status,
        le=tally.le,
        shard=tally.shard,
    )
    more = {"count": F("count") + 1, "seconds": F("seconds") + seconds}
    if not same.update(**more):
        # Whoever makes the row, it is there afterwards.
        Tally.objects.bulk_create([tally], ignore_conflicts=True)
        same.update(**more)


@dataclass(slots=True)
class Durations:
    """A histogram: how many took at most so long, for every bound, and all seconds together."""

    counts: Counter[float] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, tally: Tally) -> None:
        if tally.le:
            self.counts[float(tally.le)] += tally.count
            self.seconds += tally.seconds

    def cumulated(self) -> Sequence[tuple[float, int]]:
        return [(bound, sum(n for le, n in self.counts.items() if le <= bound)) for bound in BOUNDS]


def totals(tallies: Iterable[Tally]) -> Mapping[tuple[str, ...], float]:
    """(job, status) -> how many ended so."""
    found: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for tally in tallies:
        found[tally.job, tally.status] += tally.count
    return found


def durations_by_job(tallies: Iterable[Tally]) -> Mapping[str, Durations]:
    found: defaultdict[str, Durations] = defaultdict(Durations)
    for tally in tallies:
        found[tally.job].add(tally)
    return found
