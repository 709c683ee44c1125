"""What one process sees to in the database, beside others: it looks with one query, and only what
that finds is done.

What concerns all machines is one process's: the worker that is oldest among the living, or the
oldest daemon where no worker lives. Who that is, each tells from the heartbeats for itself. Should
it be wrong about it, or should the elected do nothing, the others act too, a little later: a duty
done twice does no harm, for each move is a compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from tasks import clock, processes, queue, reaper
from tasks.models import Attempt, Worker
from tasks.presence import ALIVE_SECONDS, Presence
from tasks.reaper import Duty

OTHERS_SECONDS = 5.0  # that the elected has, before others do its duty


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a look has told."""

    elected: bool
    """We come first for all machines' sake."""
    late: tuple[Duty, ...]
    """To be done by us now."""
    here: bool
    """Attempts of this machine run, or seem to."""
    waiting: bool
    """Tasks of our queues are due."""
    left: bool
    """Things left open outside are to be undone, by us if we do such."""


NOTHING = Sight(elected=False, late=(), here=False, waiting=False, left=False)


class Upkeep:
    """One process's looks."""

    def __init__(
        self,
        presence: Presence,
        *,
        duties: Mapping[str, Duty] = reaper.DUTIES,
        leftovers: reaper.Leftovers | None = None,
    ) -> None:
        self._presence = presence
        self._duties = duties
        self._leftovers = leftovers
        self.elected = False

    def look(self) -> Sight:
        """One query, whatever it finds; with the heartbeat, where it is time for one, in the same
        transaction.
        """
        row: Any = None
        with transaction.atomic() if self._presence.is_due() else nullcontext():
            self._presence.tell()
            mine = Worker.objects.filter(name=self._presence.name)
            row = mine.values(**self._questions()).first()
        if row is None:  # somebody has removed our row
            self._presence.tell_now()
            return NOTHING
        self.elected = not row["elder"]
        late = tuple(duty for name, duty in self._duties.items() if row[f"late_{name}"])
        return Sight(
            elected=self.elected,
            late=late,
            here=row["here"],
            waiting=row.get("waiting", False),
            left=row.get("left", False),
        )

    def _questions(self) -> dict[str, Exists]:
        patience = 0.0 if self.elected else OTHERS_SECONDS
        questions = {
            f"late_{name}": Exists(duty.late(patience)) for name, duty in self._duties.items()
        }
        questions["elder"] = Exists(self._elders())
        questions["here"] = Exists(Attempt.objects.filter(host=processes.place(), outcome=""))
        if self._presence.queues:
            questions["waiting"] = Exists(queue.due(self._presence.queues))
        if self._leftovers is not None:
            questions["left"] = Exists(self._leftovers.waiting())
        return questions

    def _elders(self) -> QuerySet[Worker]:
        """The living that come before us."""
        alive = Worker.objects.filter(heartbeat_at__gt=clock.now(-ALIVE_SECONDS))
        older = Q(kind=self._presence.kind, pk__lt=OuterRef("pk"))
        if self._presence.kind == Worker.Kind.DAEMON:
            older |= Q(kind=Worker.Kind.WORKER)
        return alive.filter(older)
