"""Tells those who wait for one task. It is asked for by its id and compared by `seq`, so that
neither clocks nor the order of commits matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Q

from tasks.live import post, report
from tasks.live.mailbox import Change
from tasks.live.watches import TaskWatch
from tasks.models import Event, Task

AT_ONCE = 200


def tell_singles(watches: Collection[TaskWatch], *, places: bool) -> None:
    """Tell what happened after `seen`; with `places`, also where the waiting ones stand now."""
    by_task = defaultdict[UUID, list[TaskWatch]](list)
    for watch in watches:
        by_task[watch.task_id].append(watch)
    seqs = dict(Task.objects.filter(pk__in=by_task).values_list("pk", "seq"))
    letters = post.Letters()
    for gone in by_task.keys() - seqs.keys():
        for watch in by_task[gone]:
            letters.add(watch, Change(task_id=gone, team_id=0, seq=watch.seen, task=None))
    stale = {
        pk
        for pk, seq in seqs.items()
        if any(w.seen < seq or (places and w.place is not None) for w in by_task[pk])
    }
    _tell_stale({pk: by_task[pk] for pk in stale}, letters)
    letters.send()


def _tell_stale(by_task: dict[UUID, list[TaskWatch]], letters: post.Letters) -> None:
    rows = Task.objects.in_bulk(list(by_task))
    places = report.positions(rows.values())
    # After the rows: an event is committed with its task's seq, so none up to that can be missing.
    events = _events({pk: min(w.seen for w in by_task[pk]) for pk in rows})
    for pk, row in rows.items():
        place = places.get(pk)
        task = report.told(row, place)
        for watch in by_task[pk]:
            if watch.seen >= row.seq and watch.place == place:
                continue
            new = [e for e in events[pk] if watch.seen < e["seq"] <= row.seq]
            watch.seen, watch.place = row.seq, place
            letters.add(
                watch,
                Change(task_id=pk, team_id=row.team_id, seq=row.seq, task=task, events=new),
            )


def _events(after: dict[UUID, int]) -> defaultdict[UUID, list[dict[str, Any]]]:
    """The events of each task after a number of its own, oldest first."""
    found = defaultdict[UUID, list[dict[str, Any]]](list)
    for part in _parts(list(after.items())):
        wanted = reduce(or_, (Q(task=pk, seq__gt=seq) for pk, seq in part))
        for event in Event.objects.filter(wanted).order_by("seq"):
            found[event.task_id].append(report.event_of(event))
    return found


def _parts(items: list[tuple[UUID, int]]) -> Iterable[list[tuple[UUID, int]]]:
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))
