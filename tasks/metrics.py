"""What Prometheus is told, read from the database and so right whatever process did the work.

Apps add their figures from a module `metrics.py`:

    @metrics.source
    def backups() -> Iterator[Metric]:
        yield gauge("backup_size_bytes", "…", ["database"], {("shop",): 12_000.0})
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from django.conf import settings
from django.db.models import Count
from django.utils.module_loading import autodiscover_modules
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from tasks import canaries, clock, crews, queues, registry, tallies, totals
from tasks.models import Pause, Tally, Task, Worker
from tasks.states import ENDED, Outcome, Status
from tasks.tallies import Durations

Source = Callable[[], Iterable[Metric]]
Labels = tuple[str, ...]

_sources: dict[str, Source] = {}


def source(told: Source) -> Source:
    """Have the function called at every scrape. A few queries at most, however much there is."""
    _sources[f"{told.__module__}.{told.__qualname__}"] = told
    return told


class Sources(Collector):
    """All sources, as one collector: each is asked at every scrape."""

    def collect(self) -> Iterator[Metric]:
        for told in _sources.values():
            yield from told()

    def describe(self) -> Iterable[Metric]:
        return ()  # instead of a first scrape on registering


def new_registry() -> CollectorRegistry:
    """A registry of the figures of all apps, and of nothing that one process knows alone."""
    autodiscover_modules("metrics")
    made = CollectorRegistry()
    made.register(Sources())
    return made


# What sources yield ------------------------------------------------------------------------------


def counter(
    name: str, text: str, labels: Sequence[str], values: Mapping[Labels, float]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for key in sorted(values):
        family.add_metric(key, values[key])
    return family


def gauge(
    name: str, text: str, labels: Sequence[str], values: Mapping[Labels, float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key in sorted(values):
        family.add_metric(key, values[key])
    return family


def histogram(
    name: str, text: str, labels: Sequence[str], values: Mapping[Labels, Durations]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=labels)
    for key in sorted(values):
        buckets = [(_bound(bound), n) for bound, n in values[key].cumulated()]
        family.add_metric(key, buckets=buckets, sum_value=values[key].seconds)
    return family


def _bound(seconds: float) -> str:
    return "+Inf" if seconds == tallies.INFINITE else str(seconds)


# Of tasks and workers ----------------------------------------------------------------------------


@source
def ended_tasks() -> Iterator[Metric]:
    known = list(Tally.objects.all())
    # Zeros too: a counter that begins at 1 has not risen, as far as Prometheus knows.
    total: dict[Labels, float] = {
        (job, str(status)): 0.0 for job in registry.names() for status in ENDED
    }
    total |= tallies.totals(known)
    yield counter("task_total", "Tasks that ended, by how.", ["job", "status"], total)
    spans: dict[Labels, Durations] = {(job,): Durations() for job in registry.names()}
    spans |= {(job,): span for job, span in tallies.durations_by_job(known).items()}
    yield histogram(
        "task_duration_seconds",
        "From the start of a task's last attempt to its end.",
        ["job"],
        spans,
    )
    yield _attempts(known)


def _attempts(known: Iterable[Tally]) -> Metric:
    """Each task that succeeded had one attempt that did."""
    ended: dict[Labels, float] = {
        (job, str(outcome)): 0.0 for job in registry.names() for outcome in Outcome
    }
    ended |= totals.of(totals.ATTEMPT)
    for (job, status), number in tallies.totals(known).items():
        if status == Status.SUCCEEDED:
            ended[job, str(Outcome.SUCCEEDED)] = number
    text = "Attempts at tasks that ended, by how."
    return counter("task_attempts_total", text, ["job", "outcome"], ended)


@source
def held_tasks() -> Iterator[Metric]:
    kept = Task.objects.filter(quarantined_at__isnull=False).order_by().values_list("job")
    quarantined: dict[Labels, float] = {(job,): 0.0 for job in registry.names()}
    quarantined |= {(job,): number for job, number in kept.annotate(n=Count("pk"))}
    text = "Tasks kept from killing more processes, until somebody releases them."
    yield gauge("task_quarantined", text, ["job"], quarantined)
    held = Pause.objects.values_list("kind", "name")
    paused: dict[Labels, float] = dict.fromkeys(held, 1.0)
    yield gauge("task_paused", "1 for what is held back.", ["kind", "name"], paused)


@source
def waiting_tasks() -> Iterator[Metric]:
    depth: dict[Labels, float] = {(settings.QUEUE,): 0.0}
    oldest: dict[Labels, float] = {(settings.QUEUE,): 0.0}
    for queue, found in queues.waiting().items():
        depth[(queue,)] = found.count
        oldest[(queue,)] = found.oldest
    yield gauge("task_queue_depth", "Tasks that wait, retries included.", ["queue"], depth)
    yield gauge(
        "task_oldest_queued_seconds",
        "How long the oldest of those that could start now has waited.",
        ["queue"],
        oldest,
    )


@source
def workers() -> Iterator[Metric]:
    """By host and queue, not by process: a restart changes no series."""
    now = clock.read()
    ages: dict[Labels, float] = {}
    for row in Worker.objects.all():
        age = _seconds(row.heartbeat_at, now)
        for queue in row.queues or [""]:
            key = (row.kind, row.host, queue)
            ages[key] = min(age, ages.get(key, age))
    labels = ["kind", "host", "queue"]
    up = {key: float(age <= settings.LEASE_SECONDS) for key, age in ages.items()}
    yield gauge("worker_up", "1 while a worker or daemon on that host beats.", labels, up)
    yield gauge(
        "worker_heartbeat_age_seconds", "Since the newest heartbeat from there.", labels, ages
    )
    replaced: dict[Labels, float] = {(host,): 0.0 for _, host, queue in ages if queue}
    replaced |= {(host,): number for (host, _), number in totals.of(totals.POOL).items()}
    text = "Pools of workers that hung or lost a process, and were replaced."
    yield counter("worker_pool_replacements_total", text, ["host"], replaced)


@source
def flow() -> Iterator[Metric]:
    """Of queues that living workers serve."""
    slots = crews.slots()
    room: dict[Labels, float] = {(queue,): found.all for queue, found in slots.items()}
    free: dict[Labels, float] = {(queue,): found.free for queue, found in slots.items()}
    yield gauge("worker_slots", "Attempts that its workers have room for.", ["queue"], room)
    yield gauge("worker_slots_free", "Of these, those that wait for work.", ["queue"], free)
    found = canaries.standings(slots)
    yield gauge(
        "task_canary_age_seconds",
        "Since the last canary came back, or since one was sent that has not.",
        ["queue"],
        {(queue,): canary.age for queue, canary in found.items()},
    )
    yield gauge(
        "task_canary_seconds",
        "From the last canary's being sent to its having run.",
        ["queue"],
        {(queue,): one.seconds for queue, one in found.items() if one.seconds is not None},
    )


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
