"""When schedules are due: pure calculation on instants, with no clock and no database in it.

    Cron("0 2 * * *", "Europe/Berlin").after(instant)       the moments that follow, ascending
    between(Every(10, anchor), one, another)
    timing_of("@every 1h30m", anchor=…)                     of an expression, whichever it is

A cron expression speaks of wall-clock times, which daylight saving makes fewer or more than there
are hours: a time that doesn't exist runs once, shifted by the gap (02:30 as 03:30); one that occurs
twice runs the first time only, unless the expression names every hour, which means every hour.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Protocol
from zoneinfo import ZoneInfo

from cron_descriptor import FormatError, Options, get_description
from croniter import CroniterBadDateError, CroniterError, croniter

SHORTEST_SECONDS = 10
LONGEST_SECONDS = 366 * 86_400
ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = re.compile(r"@every\s+((?:\d{1,9}(?:\.\d{1,9})?(?:ms|[smhdw]))+)", re.IGNORECASE)
_AMOUNT = re.compile(r"([\d.]+)(ms|[smhdw])", re.IGNORECASE)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_HOUR, _SECOND = 1, 5
_DAY = timedelta(days=1)
_SECONDS = timedelta(seconds=1)
_RANDOM = re.compile(r"(?:^|[\s,])[hr](?:$|[\s,/(])", re.IGNORECASE)


class TimingError(ValueError):
    """An expression or a time zone that means nothing; says why in a sentence."""


class Timing(Protocol):
    """When something is due; all instants are aware and in UTC."""

    def after(self, instant: datetime) -> Iterator[datetime]:
        """The moments later than `instant`, ascending; it may never end."""

    def last(self, since: datetime, until: datetime) -> datetime | None:
        """The latest moment that is later than `since` and not later than `until`."""

    def in_words(self) -> str:
        """For people: `At 02:00 (Europe/Berlin)`."""


def between(timing: Timing, since: datetime, until: datetime) -> list[datetime]:
    """The moments later than `since` and not later than `until`."""
    return list(takewhile(lambda moment: moment <= until, timing.after(since)))


def upcoming(timing: Timing, instant: datetime, count: int = 5) -> list[datetime]:
    """The next moments after `instant`."""
    return list(islice(timing.after(instant), count))


def timing_of(expression: str, time_zone: str = "UTC", *, anchor: datetime) -> Timing:
    """A cron expression; or an interval counted from the anchor, as `@every 1h30m`, which the
    original daemon takes too. Raises TimingError."""
    if expression.strip().lower().startswith("@every"):
        return Every(seconds_in(expression), anchor)
    return Cron(expression, time_zone)


def seconds_in(expression: str) -> int:
    """Of `@every 1h30m`; what is less than a second is left out. Raises TimingError."""
    found = _EVERY.fullmatch(expression.strip())
    if not found:
        raise TimingError(
            f"“{expression.strip()[:60]}” is no interval. Write @every and a duration, such as "
            "@every 30m, @every 6h or @every 1h30m."
        )
    amounts = _AMOUNT.findall(found[1])
    seconds = int(sum(float(number) * _UNITS[unit.lower()] for number, unit in amounts))
    if seconds < SHORTEST_SECONDS:
        raise TimingError(f"Leave at least {SHORTEST_SECONDS} seconds between two runs.")
    if seconds > LONGEST_SECONDS:
        raise TimingError("Use an interval of a year or less.")
    return seconds


@dataclass(frozen=True, slots=True)
class Every:
    """Each so many seconds, counted from an anchor."""

    seconds: int
    anchor: datetime

    def after(self, instant: datetime) -> Iterator[datetime]:
        step = timedelta(seconds=self.seconds)
        number = max(1, (instant - self.anchor) // step + 1)
        while True:
            yield self.anchor + number * step
            number += 1

    def last(self, since: datetime, until: datetime) -> datetime | None:
        step = timedelta(seconds=self.seconds)
        number = (until - self.anchor) // step
        moment = self.anchor + number * step
        return moment if number >= 1 and moment > since else None

    def in_words(self) -> str:
        for size, noun in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
            if self.seconds % size == 0:
                count = self.seconds // size
                return f"Every {noun}" if count == 1 else f"Every {count} {noun}s"
        raise AssertionError("every number is a multiple of 1")


class Cron:
    """A cron expression of five fields, or six with the seconds first, in a time zone."""

    def __init__(self, expression: str, time_zone: str = "UTC") -> None:
        """Raises TimingError."""
        self.expression = _plain(expression)
        self.zone = zone(time_zone)
        try:
            fields, _ = croniter.expand(self.expression, second_at_beginning=True)
        except (CroniterError, ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise TimingError(
                f"“{expression.strip()[:60]}” is no cron expression. Write five fields (minute, "
                "hour, day of month, month, day of week), six with the seconds first, or @daily "
                "and the like: “0 2 * * *” is at 02:00 each day."
            ) from None
        self._every_hour = fields[_HOUR] == ["*"]
        if len(fields) > _SECOND and _closest(fields[_SECOND]) < SHORTEST_SECONDS:
            raise TimingError(f"Leave at least {SHORTEST_SECONDS} seconds between two runs.")
        try:
            next(self._walls(datetime(2024, 1, 1)))  # noqa: DTZ001  # a wall clock has no zone
        except StopIteration:
            raise TimingError("No date matches this: it would never run.") from None

    def after(self, instant: datetime) -> Iterator[datetime]:
        # Wall times map to instants in order but for the hours around a change of the clocks. So
        # start as much earlier as the clocks change near by, and hold back what may be overtaken.
        begin = self._wall(instant) - self._change_near(instant)
        held: list[datetime] = []
        given = instant
        for wall in self._walls(begin.replace(microsecond=0) - _SECONDS):
            found = self._instants(wall)
            floor = min(found)
            while held and held[0] <= floor:
                if (moment := heapq.heappop(held)) > given:
                    yield moment
                    given = moment
            for moment in found if self._twice(wall) else found[:1]:
                heapq.heappush(held, moment)
        for moment in sorted(held):
            if moment > given:
                yield moment
                given = moment

    def last(self, since: datetime, until: datetime) -> datetime | None:
        wall = self._wall(until) + self._change_near(until) + _SECONDS
        while True:
            try:
                wall = self._iterate(wall.replace(microsecond=0)).get_prev(datetime)
            except CroniterBadDateError:
                return None
            start = min(self._instants(wall)) - self._change_near(until) - _SECONDS
            found = between(self, max(start, since), until)
            if found:
                return found[-1]
            if start <= since:
                return None

    def in_words(self) -> str:
        try:
            told = get_description(self.expression, _options())
        except (FormatError, ValueError, IndexError, KeyError):
            told = self.expression
        return f"{told} ({self.zone.key})"

    def _walls(self, begin: datetime) -> Iterator[datetime]:
        """The matching wall-clock times after `begin`, which have no zone."""
        walls = self._iterate(begin)
        while True:
            try:
                yield walls.get_next(datetime)
            except CroniterBadDateError:
                return

    def _iterate(self, begin: datetime) -> croniter:
        return croniter(self.expression, begin, second_at_beginning=True)

    def _wall(self, instant: datetime) -> datetime:
        return instant.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _instants(self, wall: datetime) -> tuple[datetime, datetime]:
        """Of a wall time: by the offset before a change of the clocks, and by the one after."""
        here = wall.replace(tzinfo=self.zone)
        return here.astimezone(UTC), here.replace(fold=1).astimezone(UTC)

    def _twice(self, wall: datetime) -> bool:
        if not self._every_hour:
            return False
        first, second = self._instants(wall)
        return first < second

    def _change_near(self, instant: datetime) -> timedelta:
        """How much the clocks change within a day of `instant`."""
        before, here, later = (
            self._offset(moment) for moment in (instant - _DAY, instant, instant + _DAY)
        )
        return max(abs(here - before), abs(later - here))

    def _offset(self, instant: datetime) -> timedelta:
        return instant.astimezone(self.zone).utcoffset() or timedelta()


def zone(name: str) -> ZoneInfo:
    """Raises TimingError."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise TimingError(
            f"“{name[:60]}” is no time zone. Write one such as UTC or Europe/Berlin."
        ) from None


def _plain(expression: str) -> str:
    """With aliases spelled out and one space between fields."""
    text = " ".join(expression.split())
    text = ALIASES.get(text.lower(), text)
    if _RANDOM.search(text):
        raise TimingError("H and R stand for times of no certain meaning; write numbers.")
    if len(text.split()) not in (5, 6):
        raise TimingError(
            "A cron expression has five fields (minute, hour, day of month, month, day of week), "
            "or six with the seconds first; @daily and the like work too, and @every 6h."
        )
    return text


def _closest(seconds: list[int] | list[str]) -> int:
    """Between two of the seconds of a minute, and the next minute's."""
    if seconds == ["*"]:
        return 1
    sorted_seconds = sorted(int(second) for second in seconds)
    following = [*sorted_seconds[1:], sorted_seconds[0] + 60]
    return min(late - early for early, late in zip(sorted_seconds, following, strict=True))


def _options() -> Options:
    options = Options()
    options.use_24hour_time_format = True
    return options
