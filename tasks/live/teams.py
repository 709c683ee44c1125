"""Tells those who wait for all tasks of their teams.

Tasks are found by `updated_at`, which is the database's clock, but not believed to come in order
of it: a row may be committed long after the moment written in it. So each look reaches back
OVERLAP_SECONDS, what is found is compared by `seq`, tasks last seen running are asked for by id,
and each SWEEP_SECONDS a look reaches back a day and finds what came later than the overlap, and
what has been deleted.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Set
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from tasks import clock
from tasks.live import post, report
from tasks.live.mailbox import Change
from tasks.live.watches import TeamsWatch
from tasks.models import Task
from tasks.states import ENDED, Status

OVERLAP_SECONDS = 10.0
SWEEP_SECONDS = 2.0
DAY_SECONDS = 86_400.0
ROWS = 1000
TOLD_AT_ONCE = 300  # more than that: it is cheaper for everybody to read the rows


TeamsOf = Mapping[TeamsWatch, Set[int]]


class Head(NamedTuple):
    """The least that tells whether a task has changed."""

    seq: int
    status: str
    team_id: int


class TeamsLook:
    """What is known of the teams' tasks from one look to the next."""

    def __init__(self) -> None:
        self._known: dict[UUID, Head] = {}
        self._watches: frozenset[TeamsWatch] = frozenset()
        self._teams: frozenset[int] = frozenset()
        self._swept = float("-inf")
        self._owes = False

    @property
    def sweep_is_due(self) -> bool:
        """Whether there were glances since the last sweep, and that was long enough ago."""
        return self._owes and time.monotonic() - self._swept >= SWEEP_SECONDS

    def tell(self, watches: Collection[TeamsWatch]) -> None:
        """Tell each watch what has changed in its teams; new ones, to read the rows themselves."""
        teams_of = {watch: frozenset(watch.teams) for watch in watches}
        teams = frozenset[int]().union(*teams_of.values())
        # Of these nothing is known yet: who watches them reads the rows after this look.
        new_teams = teams - self._teams
        new = {watch for watch in watches if watch not in self._watches or watch.teams & new_teams}
        self._watches, self._teams = frozenset(watches), teams
        self._known = {pk: head for pk, head in self._known.items() if head.team_id in teams}
        letters = post.Letters()
        if teams:
            self._look(teams_of, new_teams, letters)
        for watch in new:
            letters.add_spill(watch)
        letters.send()

    def _look(self, teams_of: TeamsOf, new_teams: Set[int], letters: post.Letters) -> None:
        sweep = bool(new_teams) or time.monotonic() - self._swept >= SWEEP_SECONDS
        self._owes = not sweep
        found, missing = self._sweep() if sweep else self._glance()
        changed = {
            pk
            for pk, head in found.items()
            if self._known.get(pk) != head and head.team_id not in new_teams
        }
        gone = {pk: self._known.pop(pk) for pk in missing}
        self._known = found if sweep else self._known | found
        if len(changed) > TOLD_AT_ONCE:
            for watch in teams_of:
                letters.add_spill(watch)
        else:
            for change in [*_departures(gone), *_changes(changed)]:
                for watch, teams in teams_of.items():
                    if change.team_id in teams:
                        letters.add(watch, change)

    def _glance(self) -> tuple[dict[UUID, Head], set[UUID]]:
        """What changed lately, and what is running; the latter's ids that are gone."""
        running = {pk for pk, head in self._known.items() if head.status == Status.RUNNING}
        found = self._since(OVERLAP_SECONDS)
        others = running - found.keys()
        if others:
            found |= _heads(Task.objects.filter(pk__in=others).order_by())
        return found, running - found.keys()

    def _sweep(self) -> tuple[dict[UUID, Head], set[UUID]]:
        """What changed in a day, and what else is known and not ended; ids that are gone."""
        self._swept = time.monotonic()
        found = self._since(DAY_SECONDS)
        rest = self._known.keys() - found.keys()
        others = _heads(Task.objects.filter(pk__in=rest).order_by()) if rest else {}
        unended = {pk: head for pk, head in others.items() if head.status not in ENDED}
        return found | dict(islice(unended.items(), ROWS)), rest - others.keys()

    def _since(self, seconds: float) -> dict[UUID, Head]:
        rows = Task.objects.filter(team__in=self._teams, updated_at__gte=clock.now(-seconds))
        return _heads(rows.order_by("-updated_at")[:ROWS])


def _departures(gone: Mapping[UUID, Head]) -> Iterator[Change]:
    for pk, head in gone.items():
        yield Change(task_id=pk, team_id=head.team_id, seq=head.seq + 1, task=None)


def _changes(changed: Collection[UUID]) -> Iterator[Change]:
    rows = Task.objects.in_bulk(list(changed)) if changed else {}
    places = report.positions(rows.values())
    for pk, row in rows.items():
        task = report.told(row, places.get(pk))
        yield Change(task_id=pk, team_id=row.team_id, seq=row.seq, task=task)


def _heads(tasks: QuerySet[Task]) -> dict[UUID, Head]:
    rows = tasks.values_list("pk", "seq", "status", "team_id")
    return {pk: Head(seq, status, team_id) for pk, seq, status, team_id in rows}
