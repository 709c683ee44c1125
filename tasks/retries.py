"""How long a task rests between its tries: growing pauses, of which a part is drawn by lot."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

LONGEST_PAUSE = 24 * 3600.0
"""Whatever a policy or an error asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """`first` seconds before the second try, `factor` times as long before each one after it,
    never more than `most`.

    `jitter` is the part that is drawn by lot, so that many that failed together don't come back
    together: with 1 a pause is anything from 0 to its whole length, with 0 it is exact.
    Raises ValueError for figures that make no sense.
    """

    first: float = 1.0
    factor: float = 2.0
    most: float = 300.0
    jitter: float = 1.0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("first", 0.0, LONGEST_PAUSE),
            ("factor", 1.0, 100.0),
            ("most", 0.0, LONGEST_PAUSE),
            ("jitter", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if not is_number(value) or not least <= value <= most:
                raise ValueError(f"backoff: {name} is a number from {least:g} to {most:g}.")

    def whole(self, tries: int) -> float:
        """The pause after so many tries, before the lot is drawn."""
        return min(self.most, self.first * self.factor ** min(max(tries, 1) - 1, 100))

    def pause(self, tries: int) -> float:
        """Seconds from the end of that try to the next one."""
        return self.whole(tries) * random.uniform(1 - self.jitter, 1)  # noqa: S311

    def stored(self) -> dict[str, float]:
        """For a task's row; `of` reads it."""
        return asdict(self)

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Backoff:
        """From JSON; what is left out is as in a new one. Raises ValueError."""
        unknown = figures.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"backoff: there is no {', '.join(sorted(unknown))}.")
        return cls(**figures)


def bounded(seconds: Any) -> float | None:
    """What an error asks for as its pause, within bounds; None where that is no number."""
    if not is_number(seconds):
        return None
    return min(LONGEST_PAUSE, max(0.0, float(seconds)))


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
