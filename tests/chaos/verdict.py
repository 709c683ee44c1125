"""Whether what was promised held: judged from the ledger outside, and from the rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from tasks.states import Outcome, Status

STUCK_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the ledger; their order there is that of what they tell."""

    task: str
    attempt: int
    what: str

    @classmethod
    def read(cls, text: str) -> Line:
        task, attempt, _, what, _ = text.split()
        return cls(task=task, attempt=int(attempt), what=what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What the database says of one task in the end."""

    status: str
    result: Any
    created_at: datetime
    finished_at: datetime | None
    outcomes: list[tuple[int, str]] = field(default_factory=list)
    """(attempt, outcome), in order."""
    moves: list[tuple[int, str, str]] = field(default_factory=list)
    """(attempt, from, to), in order."""


def lost(pushed: Mapping[str, str], fates: Mapping[str, Fate]) -> list[str]:
    """Tasks that were accepted and have no end, or not the one of their kind."""
    found = []
    for task, kind in pushed.items():
        wanted = Status.FAILED if kind == "doomed" else Status.SUCCEEDED
        status = fates[task].status if task in fates else "no row"
        if status != wanted:
            found.append(f"{kind} {task} is {status}")
    return found


def overlaps(lines: Iterable[Line]) -> list[str]:
    """Attempts that gave a sign of life after a later one of their task had begun."""
    newest: dict[str, int] = defaultdict(int)
    found = []
    for line in lines:
        if line.attempt < newest[line.task]:
            found.append(
                f"{line.task}: attempt {line.attempt} wrote {line.what!r} "
                f"after attempt {newest[line.task]} had begun"
            )
        newest[line.task] = max(newest[line.task], line.attempt)
    return found


def accepted_from_the_fenced(fates: Mapping[str, Fate]) -> list[str]:
    """Results that aren't the last attempt's, attempts with two ends, moves of bygone attempts."""
    found = []
    for task, fate in fates.items():
        good = [number for number, outcome in fate.outcomes if outcome == Outcome.SUCCEEDED]
        last = fate.outcomes[-1][0] if fate.outcomes else 0
        if fate.status == Status.SUCCEEDED and good != [last]:
            found.append(f"{task}: attempts {good} of {last} succeeded")
        if fate.result is not None and fate.result.get("attempt") != last:
            found.append(f"{task}: its result is that of {fate.result}, not of attempt {last}")
        if open_ones := [number for number, outcome in fate.outcomes if not outcome]:
            found.append(f"{task}: attempts {open_ones} have no end")
        found += [f"{task}: {what}" for what in _crooked(fate.moves)]
    return found


def _crooked(moves: list[tuple[int, str, str]]) -> Iterable[str]:
    """Where the history isn't one way from state to state, attempt by attempt."""
    for (before, _, reached), (attempt, was, to) in pairwise(moves):
        if was != reached:
            yield f"it moved from {was} to {to} when it was {reached}"
        if attempt != before + (to == Status.RUNNING):
            yield f"attempt {attempt} moved it after attempt {before}"


def blamed(pushed: Mapping[str, str], fates: Mapping[str, Fate]) -> list[str]:
    """Attempts that count as failed by their job, though it was the platform that was hit."""
    return [
        f"{kind} {task}: attempt {number} failed"
        for task, kind in pushed.items()
        if kind not in ("flaky", "doomed") and task in fates
        for number, outcome in fates[task].outcomes
        if outcome == Outcome.FAILED
    ]


def repeated_effects(
    pushed: Mapping[str, str], lines: Iterable[Line], effects: Mapping[str, int]
) -> list[str]:
    """Tasks that key their effect and have not exactly one. A process that was killed between
    the effect and its line in the ledger wrote no line; the effect itself is in `effects`."""
    told: dict[str, int] = defaultdict(int)
    for line in lines:
        told[line.task] += line.what == "effect"
    keyed = [task for task, kind in pushed.items() if kind == "keyed"]
    return [
        f"{task}: {effects.get(task, 0)} effects, told {told[task]} times"
        for task in keyed
        if effects.get(task, 0) != 1 or told[task] > 1
    ]


def crowded(pushed: Mapping[str, str], lines: Iterable[Line], keys: Mapping[str, int]) -> list[str]:
    """Keys at which more attempts gave signs of life at once than may; `keys`: kind -> how many."""
    spans: dict[tuple[str, int], tuple[int, int]] = {}
    for place, line in enumerate(lines):
        attempt = line.task, line.attempt
        spans[attempt] = spans.get(attempt, (place, place))[0], place
    found = []
    for kind, most in keys.items():
        ours = [span for (task, _), span in spans.items() if pushed.get(task) == kind]
        for begin, _ in ours:
            at_once = sum(first <= begin <= last for first, last in ours)
            if at_once > most:
                found.append(f"{at_once} of {kind} at once, of {most} that may")
    return found


def stuck(fates: Mapping[str, Fate], outages: Iterable[tuple[datetime, datetime]]) -> list[str]:
    """Tasks that took longer than 30 s, beside what faults went on meanwhile."""
    found = []
    spans = list(outages)
    for task, fate in fates.items():
        if fate.finished_at is None:
            continue
        took = (fate.finished_at - fate.created_at).total_seconds()
        excused = sum(
            max(0.0, (min(end, fate.finished_at) - max(begin, fate.created_at)).total_seconds())
            for begin, end in spans
        )
        if took - excused > STUCK_SECONDS:
            found.append(f"{task} took {took:.1f} s, {excused:.1f} s of them in faults")
    return found
