"""Housekeeping that apps have the daemons do every so often: `@periodic(every=3600)`.

Each moment is somebody's once over all daemons: whoever moves the `Chore` row's `due_at` on, by
compare-and-swap, has it to do. All go by the database's clock.
"""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from tasks import clock, processes
from tasks.models import Chore, Worker

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 10.0  # between looks, for new rows and clocks that jump
SHORTEST_SLEEP = 0.02
BUSY_SLEEP = 0.5
ALIVE_SECONDS = 6.0  # since a daemon's last heartbeat
HANGS_SECONDS = 3600.0  # that a chore takes: whoever is at it is stuck
KEPT_DAYS = 7.0  # of a chore that nobody knows any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodic:
    """One function and its period in seconds."""

    name: str
    """Of the function, and of its row; with the machine's where each has it to do."""
    every: float
    run: Callable[[], object]
    prompt: bool = False
    """It takes no time, and mustn't wait for those that do."""


_all: dict[str, Periodic] = {}


def periodic(
    *, every: float, on_each_machine: bool = False, prompt: bool = False
) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Have the function called about every so many seconds, by one daemon each time (by one of each
    machine, where that is asked for: for what lies on their disks); first at once.

    Put it into the app's `jobs.py`. It should take seconds (longer work pushes a task), and may
    raise: that is written down, and the next moment is another try. Moments that passed while it
    ran, or while no daemon did, are made up for by one call. A daemon that dies leaves its moment
    half done, and the next one to whoever is alive: so it must bear being done again. Those that
    are `prompt` are called apart from the others, and wait for none of them.
    """
    if every <= 0:
        raise ValueError("every: more than 0 seconds")

    def register(chore: Callable[[], object]) -> Callable[[], object]:
        name = f"{chore.__module__}.{chore.__qualname__}"
        if on_each_machine:
            name = f"{name} on {socket.gethostname()}"[:200]
        _all[name] = Periodic(name=name, every=every, run=chore, prompt=prompt)
        return chore

    return register


def names() -> list[str]:
    return sorted(_all)


def those(*, prompt: bool) -> list[Periodic]:
    return [chore for chore in _all.values() if chore.prompt == prompt]


class Rounds:
    """The chores as one daemon does them, one after another."""

    def __init__(self, name: str, chores: Collection[Periodic] | None = None) -> None:
        self._name = name
        self._chores = {
            chore.name: chore for chore in (_all.values() if chores is None else chores)
        }

    def go(self) -> float:
        """Do what is due and still nobody's; then, how many seconds until it may be time again."""
        now = clock.read()
        moments = self._moments(now)
        due = [name for name in moments if moments[name] <= now]
        for name in sorted(due, key=moments.__getitem__):
            if self._take(self._chores[name], moments[name]):
                self._do(self._chores[name])
        if due:
            now, moments = clock.read(), self._known()
        return _until_first(moments.values(), now)

    def _moments(self, now: datetime) -> dict[str, datetime]:
        """The next moment of each chore that is known here; new ones are due now."""
        found = self._known()
        new = [Chore(name=name, due_at=now) for name in self._chores if name not in found]
        if new:
            Chore.objects.bulk_create(new, ignore_conflicts=True)
            found = self._known()
        for name, due_at in found.items():
            latest = now + timedelta(seconds=self._chores[name].every)
            if due_at > latest:  # the clock was set back, or a release has shortened the period
                self._rows().filter(name=name, due_at=due_at).update(due_at=latest)
                found[name] = latest
        return found

    def _known(self) -> dict[str, datetime]:
        return dict(self._rows().values_list("name", "due_at"))

    def _rows(self) -> QuerySet[Chore]:
        return Chore.objects.filter(name__in=self._chores)

    def _take(self, chore: Periodic, due_at: datetime) -> bool:
        """Have that moment, unless it is another's or the last one is still being done."""
        alive = Worker.objects.filter(
            name=OuterRef("by"), heartbeat_at__gt=clock.now(-ALIVE_SECONDS)
        )
        nobody_at_it = (
            Q(began_at=None)
            | Q(began_at__lt=clock.now(-HANGS_SECONDS))
            | Q(seconds__isnull=False)
            | Q(by=self._name)
            | ~Exists(alive)
        )
        mine = Chore.objects.filter(nobody_at_it, name=chore.name, due_at=due_at)
        return bool(
            mine.update(
                due_at=next_moment(due_at, chore.every, clock.read()),
                by=self._name,
                began_at=clock.now(),
                seconds=None,
                error="",
            )
        )

    def _do(self, chore: Periodic) -> None:
        begun, error = processes.now(), ""
        try:
            chore.run()
        except Exception as fault:
            error = type(fault).__name__
            logger.warning("%s failed: %s", chore.name, error)
        ours = Chore.objects.filter(name=chore.name, by=self._name, seconds=None)
        ours.update(seconds=round(processes.now() - begun, 3), error=error)


def _until_first(moments: Iterable[datetime], now: datetime) -> float:
    """What is due and not done here is being done by another, which may take its time."""
    waits = ((at - now).total_seconds() if at > now else BUSY_SLEEP for at in moments)
    return min(LONGEST_SLEEP, max(SHORTEST_SLEEP, min(waits, default=LONGEST_SLEEP)))


def next_moment(due_at: datetime, every: float, now: datetime) -> datetime:
    """The first moment after `now` of those that lie so many seconds apart from `due_at` on."""
    missed = max(0, math.floor((now - due_at).total_seconds() / every))
    return due_at + timedelta(seconds=(missed + 1) * every)


@periodic(every=24 * 3600)
def forget_old_chores() -> None:
    """Rows of functions that no release has any more; those of a newer one are kept fresh by it."""
    old = Chore.objects.filter(due_at__lt=clock.now(-KEPT_DAYS * 24 * 3600))
    old.exclude(name__in=names()).delete()
