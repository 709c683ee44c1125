"""What Prometheus is told about backups. By name of the database, as people know it; where two
teams use one name for theirs, it is `team/name`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from django.db.models import Exists, Max, Min, OuterRef, Q, Subquery
from prometheus_client.core import Metric

from backups.models import Backup, Database, Firing, Plan, Proof, Schedule
from backups.moments import TimingError
from tasks import clock, metrics
from tasks.models import Tally
from tasks.states import Status
from tasks.tallies import Durations

Labels = tuple[str, ...]
DATABASE = ["database"]


@metrics.source
def backups() -> Iterator[Metric]:
    names = _names()
    yield from _runs(names)
    yield from _last(names)
    yield _overdue(names)


def _names() -> Mapping[int, Labels]:
    """Database id -> its label, of those that are backed up."""
    used = Exists(Plan.objects.filter(database=OuterRef("pk"))) | Exists(
        Backup.objects.filter(database=OuterRef("pk"))
    )
    rows = list(Database.objects.filter(used).values_list("pk", "name", "team__name", "team"))
    taken = Counter(name for _, name, _, _ in rows)
    whole = Counter((team, name) for _, name, team, _ in rows)

    def label(name: str, team: str, team_id: int) -> str:
        if taken[name] == 1:
            return name
        return f"{team}/{name}" if whole[team, name] == 1 else f"{team} {team_id}/{name}"

    return {pk: (label(name, team, team_id),) for pk, name, team, team_id in rows}


def _runs(names: Mapping[int, Labels]) -> Iterator[Metric]:
    # Zeros too: a counter that begins at 1 has not risen, as far as Prometheus knows.
    good: dict[Labels, float] = dict.fromkeys(names.values(), 0.0)
    bad: dict[Labels, float] = dict.fromkeys(names.values(), 0.0)
    spans: dict[Labels, Durations] = {label: Durations() for label in names.values()}
    for tally in Tally.objects.filter(job="backup", subject__in=[str(pk) for pk in names]):
        label = names[int(tally.subject)]
        if tally.status == Status.SUCCEEDED:
            good[label] += tally.count
            spans[label].add(tally)
        elif tally.status == Status.FAILED:
            bad[label] += tally.count
    yield metrics.counter("backup_success_total", "Backups that went well.", DATABASE, good)
    yield metrics.counter(
        "backup_failure_total", "Backups that failed, after all their tries.", DATABASE, bad
    )
    yield metrics.histogram(
        "backup_duration_seconds", "Of backups that went well.", DATABASE, spans
    )


def _last(names: Mapping[int, Labels]) -> Iterator[Metric]:
    newest = Backup.objects.filter(database=OuterRef("pk"), completed_at__isnull=False).order_by(
        "-completed_at"
    )
    rows = (
        Database.objects.filter(pk__in=names)
        .annotate(last=Subquery(newest.values("pk")[:1]))
        .filter(last__isnull=False)
        .values_list("pk", "last")
    )
    last = {backup: names[pk] for pk, backup in rows}
    when: dict[Labels, float] = {}
    size: dict[Labels, float] = {}
    found = Backup.objects.filter(pk__in=last).values_list("pk", "completed_at", "stored_bytes")
    for pk, completed_at, stored_bytes in found:
        when[last[pk]] = completed_at.timestamp() if completed_at else 0.0
        size[last[pk]] = stored_bytes or 0
    yield metrics.gauge(
        "backup_last_success_timestamp_seconds",
        "When the newest good backup was complete.",
        DATABASE,
        when,
    )
    yield metrics.gauge("backup_size_bytes", "Of the newest good backup, stored.", DATABASE, size)
    yield metrics.gauge(
        "backup_verified_timestamp_seconds",
        "When a backup was last restored and found the same.",
        DATABASE,
        _verified(names),
    )


def _verified(names: Mapping[int, Labels]) -> Mapping[Labels, float]:
    proven = Proof.objects.filter(verdict=Proof.Verdict.PROVEN, backup__database__in=names)
    found = proven.order_by().values_list("backup__database").annotate(at=Max("completed_at"))
    return {names[pk]: moment.timestamp() for pk, moment in found if moment is not None}


def _overdue(names: Mapping[int, Labels]) -> Metric:
    """Of a malformed schedule, which never runs, since it was last looked at."""
    now = clock.read()
    claimed = Min("firings__moment", filter=Q(firings__state=Firing.State.CLAIMED))
    known = Schedule.objects.filter(paused_at=None, plan__database__in=names)
    seconds: dict[Labels, float] = {}
    for row in known.order_by().select_related("plan").annotate(claimed=claimed):
        since = min(moment for moment in (row.claimed, _due(row), now) if moment is not None)
        seconds[names[row.plan.database_id][0], row.name] = (now - since).total_seconds()
    return metrics.gauge(
        "backup_schedule_overdue_seconds",
        "How long ago it should have run and did not; 0 in good order.",
        ["database", "schedule"],
        seconds,
    )


def _due(schedule: Schedule) -> datetime | None:
    """The first moment that no daemon has looked at yet; it may be in the future."""
    try:
        return next(schedule.timing().after(schedule.seen_until), None)
    except (TimingError, OverflowError):
        return schedule.seen_until
