"""One look at the database after another: what has changed for those who wait.

On SQLite nothing is asked until `PRAGMA data_version` says that somebody has committed.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from django.db import connection

from tasks.live.singles import tell_singles
from tasks.live.teams import TeamsLook
from tasks.live.watches import TaskWatch, TeamsWatch, Watch

PLACES_SECONDS = 1.0


class Look:
    """What is remembered from one look to the next. Belongs to one thread and its connection."""

    def __init__(self) -> None:
        self._watches: frozenset[Watch] = frozenset()
        self._version = -1
        self._placed = float("-inf")
        self._teams = TeamsLook()

    def at(self, watches: Collection[Watch]) -> None:
        """Tell each of these what has changed since the last look."""
        moved = self._moved(watches)
        single = [watch for watch in watches if isinstance(watch, TaskWatch)]
        places = self._places_due(single)
        if moved or places:
            tell_singles(single, places=places)
        if moved or self._teams.sweep_is_due:
            self._teams.tell([watch for watch in watches if isinstance(watch, TeamsWatch)])

    def _moved(self, watches: Collection[Watch]) -> bool:
        """Whether there may be news: always, unless SQLite says that nothing was committed."""
        before = self._watches, self._version
        self._watches = frozenset(watches)
        if connection.vendor != "sqlite":
            return True
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            self._version = cursor.fetchone()[0]
        return before != (self._watches, self._version)

    def _places_due(self, single: Collection[TaskWatch]) -> bool:
        """Places in the queue change with other tasks and with time; now and then is enough."""
        now = time.monotonic()
        if now - self._placed < PLACES_SECONDS or all(w.place is None for w in single):
            return False
        self._placed = now
        return True
