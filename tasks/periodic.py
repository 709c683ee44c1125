"""Housekeeping that apps have the daemon do every so often: `@periodic(every=3600)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tasks import processes

Chore = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodic:
    """One function and its period in seconds."""

    name: str
    every: float
    run: Chore


_all: dict[str, Periodic] = {}


def periodic(*, every: float) -> Callable[[Chore], Chore]:
    """Have the function called about every so many seconds, first when the daemon starts.

    Put it into the app's `jobs.py`. It may run in several daemons at once, so it must be
    idempotent; it should take seconds (longer work pushes a task), and may raise: it is called
    again.
    """
    if every <= 0:
        raise ValueError("every: more than 0 seconds")

    def register(chore: Chore) -> Chore:
        name = f"{chore.__module__}.{chore.__qualname__}"
        _all[name] = Periodic(name=name, every=every, run=chore)
        return chore

    return register


def names() -> list[str]:
    return sorted(_all)


class Rounds:
    """Knows which chores are due, in one daemon."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def due(self) -> list[Periodic]:
        """What is to be done now; the next time of each is counted from here."""
        now = processes.now()
        ready = [chore for chore in _all.values() if self._due.get(chore.name, 0.0) <= now]
        for chore in ready:
            self._due[chore.name] = now + chore.every
        return ready
