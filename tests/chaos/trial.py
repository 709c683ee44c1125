"""One run on one database: load, faults in random order, cancels, and the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db.models import Count

from accounts.models import Team
from tasks import clock, transitions
from tasks.models import Attempt, Event, Task
from tasks.states import ENDED, Status
from tests.chaos import verdict
from tests.chaos.faults import Arena, Fault, MissedError
from tests.chaos.load import KEYS, Feeder, Meter, ask
from tests.chaos.site import Site

WINDOW = 3.0
"""Seconds over which throughput is taken."""
CALM = 3.5
"""Seconds without a fault before each, in which tasks end as they do when all is well."""
ENOUGH = 0.8
WHOLE = 30.0
CANCEL_KINDS = ("waiting", "Python", "computing", "program", "deaf", "deaf program")
CANCEL_LIMIT = 1.0


@dataclass(slots=True)
class Blow:
    """One fault, and what it did."""

    name: str
    began: datetime
    lasted: float
    before: float
    back: float | None
    """Seconds from its end until tasks ended at 80 % of the rate before; None: not in time."""
    after: float | None
    whole: float | None
    """Seconds until every process was there again."""
    bound: float

    @property
    def complaints(self) -> list[str]:
        found = []
        if self.back is None:
            found.append(f"{self.name}: not back to 80 % within {self.bound:g} s")
        if self.whole is None:
            found.append(f"{self.name}: not whole again within {WHOLE:g} s")
        return found


@dataclass(slots=True)
class Result:
    """What a run found."""

    tasks: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    longest: float = 0.0
    blows: list[Blow] = field(default_factory=list)
    cancels: dict[str, list[float]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


class Trial:
    """One run."""

    def __init__(self, site: Site, arena: Arena, folder: Path, tell: Callable[[str], None]) -> None:
        self.site, self.arena, self.rng = site, arena, arena.rng
        self.tell = tell
        self.folder = folder / "outside"
        self.folder.mkdir()
        self.team = ask(lambda: Team.objects.get_or_create(name="Chaos")[0])
        self.feeder = Feeder(self.team, self.folder, self.rng)
        self.meter = Meter()

    def run(
        self, faults: list[Fault], *, seconds: float, tasks: int, cancels: int, patience: float
    ) -> Result:
        result = Result()
        if not self.site.until(self.site.is_whole, 60):
            logs = "\n".join(machine.log for machine in self.site.machines)
            raise AssertionError(f"The platform did not start: {self.site.state()}\n{logs}")
        self.meter.start()
        self.feeder.start()
        self.site.pause(1)
        limit = time.monotonic() + seconds
        for each in faults:
            if time.monotonic() > limit:
                self.tell(f"{each.name}: left out, the time is up")
                continue
            result.blows.append(self.strike(each, each.bound * patience))
        self.site.until(lambda: len(self.feeder.pushed) >= tasks, 300)
        self.feeder.stop()
        self.all_end()
        result.cancels = self.cancel(cancels)
        self.meter.stop()
        self.judge(result)
        return result

    # Faults -------------------------------------------------------------------------------------

    def strike(self, each: Fault, bound: float) -> Blow:
        before = self.in_calm()
        begin = time.monotonic()
        began = datetime.now(UTC)
        try:
            each.strike(self.arena)
        except MissedError as error:
            self.arena.complaints.append(f"{each.name}: {error}")
        over = time.monotonic()
        back = whole = None
        limit = over + max(bound + WINDOW, WHOLE) + 1
        while time.monotonic() < limit and (back is None or whole is None):
            if back is None:
                back = self.meter.back_at(over, ENOUGH * before, WINDOW)
            if whole is None and self.site.is_whole():
                whole = time.monotonic()
            self.site.pause(0.1)
        if back is not None and back > over + bound:
            back = None
        blow = Blow(
            name=each.name,
            began=began,
            lasted=over - begin,
            before=before,
            back=None if back is None else back - over,
            after=None if back is None else self.meter.rate(back, back + WINDOW),
            whole=None if whole is None else whole - over,
            bound=bound,
        )
        self.tell(row(blow))
        return blow

    def in_calm(self) -> float:
        """Ends a second while nothing is done to the platform."""
        since = time.monotonic()
        self.site.until(lambda: self.meter.rate(since, since + CALM) is not None, CALM + 30)
        return self.meter.rate(since, since + CALM) or 0.0

    def all_end(self) -> None:
        """Wait for what was fed, as long as nothing may be stuck."""

        def ended() -> bool:
            return not ask(lambda: Task.objects.exclude(status__in=ENDED).exists())

        self.site.until(ended, verdict.STUCK_SECONDS)

    # Cancels ------------------------------------------------------------------------------------

    def cancel(self, times: int) -> dict[str, list[float]]:
        """Seconds from asking to stop until the row says cancelled, of each kind."""
        taken: dict[str, list[float]] = {kind: [] for kind in CANCEL_KINDS}
        for _ in range(times):
            works = {kind: self._begin(kind) for kind in CANCEL_KINDS}
            for kind, task in works.items():
                if kind != "waiting":
                    self.site.until(lambda task=task: self._has_begun(task), 15)
            asked = {}
            for kind, task in works.items():
                asked[task] = kind, time.monotonic()
                transitions.cancel(Task.objects.get(pk=task), by=None)
            limit = time.monotonic() + 10
            while asked:
                done = Task.objects.filter(pk__in=asked, status=Status.CANCELLED)
                late = list(asked) if time.monotonic() > limit else []
                for task in [*map(str, done.values_list("pk", flat=True)), *late]:
                    if task in asked:
                        kind, since = asked.pop(task)
                        taken[kind].append(time.monotonic() - since)
                time.sleep(0.01)
        return taken

    def _begin(self, kind: str) -> str:
        later = clock.read() + timedelta(hours=1) if kind == "waiting" else None
        return self.feeder.push("waits", run_at=later, how=kind)

    def _has_begun(self, task: str) -> bool:
        return f"{task} " in self.feeder.ledger.read_text()

    # Verdict ------------------------------------------------------------------------------------

    def judge(self, result: Result) -> None:
        lines = [verdict.Line.read(text) for text in self.feeder.ledger.read_text().splitlines()]
        fates = ask(self.fates)
        pushed = self.feeder.pushed
        names = (path.name for path in self.folder.glob("effect-*"))
        effects = {name.removeprefix("effect-"): 1 for name in names}
        spans = [
            (blow.began, datetime.fromtimestamp(blow.began.timestamp() + blow.lasted, UTC))
            for blow in result.blows
        ]
        result.complaints += self.arena.complaints
        for title, found in (
            ("lost", verdict.lost(pushed, fates)),
            ("overlap", verdict.overlaps(lines)),
            ("fenced", verdict.accepted_from_the_fenced(fates)),
            ("blamed", verdict.blamed(pushed, fates)),
            ("effects", verdict.repeated_effects(pushed, lines, effects)),
            ("stuck", verdict.stuck(fates, spans)),
            ("crowd", verdict.crowded(pushed, lines, KEYS)),
        ):
            result.complaints += [f"{title}: {each}" for each in found]
        for blow in result.blows:
            result.complaints += [f"recovery: {each}" for each in blow.complaints]
        for kind, seconds in result.cancels.items():
            if seconds and p95(seconds) > CANCEL_LIMIT:
                result.complaints.append(f"cancel: {kind} took {p95(seconds):.2f} s (p95)")
        left = [path.name for path in self.folder.iterdir() if "-" in path.name]
        lent = [name for name in left if not name.startswith("effect-")]
        if lent:
            result.complaints.append(f"not undone: {lent}")
        result.tasks, result.attempts = len(pushed), sum(len(f.outcomes) for f in fates.values())
        counts = Attempt.objects.values_list("outcome").annotate(Count("pk"))
        result.ends = {str(outcome) or "none": count for outcome, count in counts}
        took = [
            (fate.finished_at - fate.created_at).total_seconds()
            for fate in fates.values()
            if fate.finished_at
        ]
        result.longest = max(took, default=0.0)

    def fates(self) -> dict[str, verdict.Fate]:
        """Of all tasks that were fed."""
        found = {
            str(task.pk): verdict.Fate(
                status=task.status,
                result=task.result,
                created_at=task.created_at,
                finished_at=task.finished_at,
            )
            for task in Task.objects.filter(job__startswith="chaos-").exclude(job="chaos-waits")
        }
        attempts = Attempt.objects.order_by("number").values_list("task_id", "number", "outcome")
        for task, number, outcome in attempts:
            if str(task) in found:
                found[str(task)].outcomes.append((number, outcome))
        moves = Event.objects.filter(kind=Event.Kind.MOVE).order_by("seq")
        for task, number, data in moves.values_list("task_id", "attempt", "data"):
            if str(task) in found and "from" in data:
                found[str(task)].moves.append((number or 0, data["from"], data["to"]))
        return found


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[max(0, -(-len(seconds) * 95 // 100) - 1)]


HEAD = (
    f"{'fault':<28} {'lasted':>7} {'whole':>7} {'80 % of':>8} {'':>7} {'ends/s':>7} {'ends/s':>7}\n"
    f"{'':<28} {'':>7} {'again':>7} {'before':>8} {'':>7} {'before':>7} {'after':>7}"
)


def row(blow: Blow) -> str:
    return (
        f"{blow.name:<28} {_seconds(blow.lasted):>7} {_seconds(blow.whole):>7} "
        f"{_seconds(blow.back):>8} {'(' + format(blow.bound, 'g') + ')':>7} "
        f"{blow.before:>7.1f} {'-' if blow.after is None else format(blow.after, '.1f'):>7}"
    )


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
