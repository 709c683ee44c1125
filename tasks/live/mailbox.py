"""What one watcher has not been told yet. It never grows past a bound and never blocks anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

LIMIT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a task stands now, and what happened to it since the last change told."""

    task_id: UUID
    team_id: int
    seq: int
    task: Mapping[str, Any] | None
    """As `report.told` gives it; None when the row has gone."""
    events: Sequence[Mapping[str, Any]] = ()

    def after(self, earlier: Change) -> Change:
        """Both in one: nothing is lost but figures that are out of date."""
        return replace(self, events=[*earlier.events, *self.events])


class BehindError(Exception):
    """The watcher must read the rows anew: it has just come, was too slow, or nobody knows."""


class Mailbox:
    """Changes for one watcher, merged by task, so that a slow one is told less, not later.

    Belongs to one event loop: all methods are called there only. Past LIMIT tasks or events
    everything is thrown away and `take` raises BehindError once. Nothing put after that is lost.
    """

    def __init__(self) -> None:
        self._changes: dict[UUID, Change] = {}
        self._events = 0
        self._behind = False
        self._ready = asyncio.Event()

    def put(self, change: Change) -> None:
        self._ready.set()
        if self._behind:
            return
        self._events += len(change.events)
        # Taken out first, so that tasks stay in the order of their last change.
        earlier = self._changes.pop(change.task_id, None)
        self._changes[change.task_id] = change.after(earlier) if earlier else change
        if len(self._changes) > LIMIT or self._events > LIMIT:
            self.spill()

    def spill(self) -> None:
        """Have the watcher read the rows anew."""
        self._changes = {}
        self._behind = True
        self._ready.set()

    async def take(self) -> list[Change]:
        """Wait for something and take it all, oldest first; raises BehindError."""
        await self._ready.wait()
        self._ready.clear()
        changes, behind = list(self._changes.values()), self._behind
        self._changes, self._events, self._behind = {}, 0, False
        if behind:
            raise BehindError
        return changes
