"""Pushes and counts the tasks of one contender, in its own environment, as told line by line.

Standard library only. `push N`, `stamp PATH`, `count` and `clear` are each answered by one line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Driver:
    """What a contender can do."""

    push: Callable[[int], object]
    """Ask for so many tasks that do nothing."""
    stamp: Callable[[str], object]
    """Ask for a task that writes down when it starts."""
    count: Callable[[], int]
    """How many tasks have ended well since `clear`."""
    clear: Callable[[], object]
    """Forget all tasks."""

    def serve(self) -> None:
        for line in sys.stdin:
            verb, _, word = line.strip().partition(" ")
            match verb:
                case "push":
                    self.push(int(word))
                    answer = "pushed"
                case "stamp":
                    self.stamp(word)
                    answer = "pushed"
                case "count":
                    answer = str(self.count())
                case _:
                    self.clear()
                    answer = "cleared"
            print(answer, flush=True)
