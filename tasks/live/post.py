"""Brings letters from the poller's thread into the event loops of those who wait."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import defaultdict
from contextlib import suppress

from tasks.live.mailbox import Change
from tasks.live.watches import Watch


class Letters:
    """What one look has to tell; one wake-up per event loop, however many wait there."""

    def __init__(self) -> None:
        self._bags = defaultdict[AbstractEventLoop, list[tuple[Watch, Change | None]]](list)

    def add(self, watch: Watch, change: Change) -> None:
        self._bags[watch.loop].append((watch, change))

    def add_spill(self, watch: Watch) -> None:
        """Have the watcher read the rows anew."""
        self._bags[watch.loop].append((watch, None))

    def send(self) -> None:
        for loop, bag in self._bags.items():
            with suppress(RuntimeError):  # that loop has ended, and with it those who waited there
                loop.call_soon_threadsafe(_deliver, bag)
        self._bags.clear()


def _deliver(bag: list[tuple[Watch, Change | None]]) -> None:
    for watch, change in bag:
        if change is None:
            watch.mailbox.spill()
        else:
            watch.mailbox.put(change)
