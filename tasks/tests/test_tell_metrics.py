"""What Prometheus is told of tasks and workers, and how it is served."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tasks import metrics, pauses, queue, tallies, transitions
from tasks.exporter import Exporter
from tasks.models import Tally, Task, Worker
from tasks.states import Outcome, Status
from tasks.tests import toys as toy_jobs
from tasks.tests.crew import crew, daemon, until

assert toy_jobs


def scraped(text: str | None = None) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels) -> value of every sample, as Prometheus reads it."""
    text = generate_latest(metrics.new_registry()).decode() if text is None else text
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, "told twice"
            found[key] = sample.value
    return found


def value(name: str, samples=None, /, **labels: str) -> float | None:
    samples = scraped() if samples is None else samples
    return samples.get((name, tuple(sorted(labels.items()))))


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        return answer.read().decode()


def address_in(log: str) -> str:
    """Where the daemon says that it serves them; empty while it has not."""
    found = re.search(r"Metrics on (http://\S+)", log)
    return found[1] if found else ""


@pytest.fixture
def run(team):
    """Claims a toy task and ends it so."""

    def make(outcome: Outcome, *, seconds: float = 0.0, kind: str = "nothing") -> Task:
        task = queue.push(job=f"toy-{kind}", team=team, max_attempts=1)
        assert queue.claim(["default"], "w").pk == task.pk
        Task.objects.filter(pk=task.pk).update(started_at=timezone.now() - timedelta(0, seconds))
        assert transitions.finish(task.pk, 1, outcome)
        return task

    return make


def test_it_works(run):
    run(Outcome.SUCCEEDED, seconds=4)
    run(Outcome.SUCCEEDED, seconds=30)
    run(Outcome.FAILED)
    samples = scraped()
    assert value("task_total", samples, job="toy-nothing", status="succeeded") == 2
    assert value("task_total", samples, job="toy-nothing", status="failed") == 1
    assert value("task_total", samples, job="toy-nothing", status="cancelled") == 0
    spans = {le: value("task_duration_seconds_bucket", samples, job="toy-nothing", le=le)
             for le in ("0.1", "1.0", "5.0", "15.0", "60.0", "+Inf")}  # fmt: skip
    assert spans == {"0.1": 1, "1.0": 1, "5.0": 2, "15.0": 2, "60.0": 3, "+Inf": 3}
    assert value("task_duration_seconds_count", samples, job="toy-nothing") == 3
    total = value("task_duration_seconds_sum", samples, job="toy-nothing")
    assert total == pytest.approx(34, abs=2)


def test_counters_survive_the_deletion_of_what_was_counted(run):
    run(Outcome.SUCCEEDED)
    run(Outcome.FAILED)
    before = scraped()
    Task.objects.all().delete()
    after = scraped()
    counted = {key for key in before if key[0].startswith(("task_total", "task_duration"))}
    assert counted
    assert {key: after[key] for key in counted} == {key: before[key] for key in counted}


def test_a_failed_task_that_a_person_tries_again_has_failed_once_and_succeeded_once(run):
    task = run(Outcome.FAILED)
    assert transitions.retry(task, by=None)
    assert queue.claim(["default"], "w").pk == task.pk
    assert transitions.finish(task.pk, 2, Outcome.SUCCEEDED)
    samples = scraped()
    assert value("task_total", samples, job="toy-nothing", status="failed") == 1
    assert value("task_total", samples, job="toy-nothing", status="succeeded") == 1


def test_a_task_that_never_ran_is_counted_and_has_no_duration(team):
    task = queue.push(job="toy-nothing", team=team)
    assert transitions.cancel(task, by=None)
    samples = scraped()
    assert value("task_total", samples, job="toy-nothing", status="cancelled") == 1
    assert value("task_duration_seconds_count", samples, job="toy-nothing") == 0


def test_an_attempt_that_goes_back_to_the_queue_is_not_counted(team):
    task = queue.push(job="toy-nothing", team=team, max_attempts=3)
    queue.claim(["default"], "w")
    assert transitions.finish(task.pk, 1, Outcome.FAILED) == Status.QUEUED
    assert not Tally.objects.exists()


def test_an_end_that_is_rolled_back_is_not_counted_and_one_that_lost_the_race_neither(team):
    task = queue.push(job="toy-nothing", team=team)
    queue.claim(["default"], "w")
    with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012
        transitions.finish(task.pk, 1, Outcome.SUCCEEDED)
        raise ZeroDivisionError
    assert not Tally.objects.exists()
    assert transitions.finish(task.pk, 1, Outcome.SUCCEEDED)
    assert transitions.finish(task.pk, 1, Outcome.FAILED) is None
    assert Tally.objects.get().count == 1


@pytest.mark.django_db(transaction=True)
def test_many_who_end_tasks_at_once_lose_no_count(team):
    made = [queue.push(job="toy-nothing", team=team) for _ in range(40)]

    def cancel(task: Task) -> bool:
        try:
            return transitions.cancel(task, by=None)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        ended = list(threads.map(cancel, made + made))  # each of them twice
    assert sum(ended) == 40
    assert Tally.objects.get().count == 40


def test_what_waits_is_told_by_queue_and_what_is_due_later_has_not_waited(team):
    now = timezone.now()
    queue.push(job="toy-nothing", team=team, run_at=now - timedelta(minutes=10))
    queue.push(job="toy-nothing", team=team)
    queue.push(job="toy-nothing", team=team, queue="far", run_at=now + timedelta(hours=1))
    samples = scraped()
    assert value("task_queue_depth", samples, queue="default") == 2
    assert value("task_queue_depth", samples, queue="far") == 1
    waited = value("task_oldest_queued_seconds", samples, queue="default")
    assert waited == pytest.approx(600, abs=30)
    assert value("task_oldest_queued_seconds", samples, queue="far") == 0
    Task.objects.all().delete()
    assert value("task_queue_depth", queue="default") == 0
    assert value("task_oldest_queued_seconds", queue="default") == 0


def test_a_host_is_up_while_one_of_its_workers_beats(db):
    def beat(name: str, seconds: float, **more) -> None:
        at = timezone.now() - timedelta(seconds=seconds)
        Worker.objects.create(name=name, pid=1, heartbeat_at=at, **more)

    beat("a:1:1", 600, host="a", queues=["default"])
    assert value("worker_up", kind="worker", host="a", queue="default") == 0
    beat("a:2:2", 1, host="a", queues=["default", "far"])
    beat("a:3:3", 30, host="a", kind="daemon")
    samples = scraped()
    assert value("worker_up", samples, kind="worker", host="a", queue="default") == 1
    assert value("worker_up", samples, kind="worker", host="a", queue="far") == 1
    assert value("worker_up", samples, kind="daemon", host="a", queue="") == 0
    age = value("worker_heartbeat_age_seconds", samples, kind="worker", host="a", queue="default")
    assert age == pytest.approx(1, abs=1)


def test_old_bounds_of_the_histogram_still_add_up():
    span = tallies.Durations()
    span.add(Tally(le="2", count=3, seconds=4.5))
    span.add(Tally(le="inf", count=1, seconds=90_000))
    span.add(Tally(le="", count=7))
    found = dict(span.cumulated())
    assert (found[1.0], found[5.0], found[43200.0], found[tallies.INFINITE]) == (0, 3, 3, 4)
    assert span.seconds == 90_004.5


def test_a_scrape_asks_as_many_questions_of_a_full_house_as_of_an_empty_one(team, run):
    registry = metrics.new_registry()
    with CaptureQueriesContext(
        connection,
    ) as empty:
        generate_latest(registry)
    run(Outcome.SUCCEEDED)
    for name in ("default", "far", "near"):
        for _ in range(20):
            queue.push(job="toy-nothing", team=team, queue=name)
    with CaptureQueriesContext(connection) as full:
        generate_latest(registry)
    assert len(full) <= len(empty) + 3  # of backups: only where there are databases
    assert len(full) <= 12 + times_asked()


def times_asked() -> int:
    """How often a scrape asks a server for its time; with SQLite the machine knows it."""
    return 4 if connection.vendor == "postgresql" else 0


@pytest.mark.django_db(transaction=True)
def test_several_workers_and_a_daemon_of_their_own_add_up_to_one_truth(toys, tmp_path):
    with crew(tmp_path, workers=2), crew(tmp_path, workers=2), daemon(tmp_path) as one:
        works = [toys.push("nothing") for _ in range(12)]
        works += [toys.push("die", max_attempts=1) for _ in range(3)]
        for work in works:
            work.ends()
        url = until(lambda: address_in(one.log.read_text()), what="metrics are served")
        samples = scraped(fetch(url))
        assert value("task_total", samples, job="toy-nothing", status="succeeded") == 12
        assert value("task_total", samples, job="toy-die", status="failed") == 3
        assert value("task_duration_seconds_count", samples, job="toy-nothing") == 12
        up = {dict(labels)["kind"]: it for (name, labels), it in samples.items()
              if name == "worker_up"}  # fmt: skip
        assert up == {"worker": 1, "daemon": 1}
        assert not any(name.startswith(("python_", "process_")) for name, _ in samples)


def test_a_port_that_is_taken_is_told_once_and_used_as_soon_as_it_is_free(
    transactional_db, tmp_path
):
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    with daemon(tmp_path, METRICS_PORT=str(port)) as one:
        told = f"Metrics can't be served on 127.0.0.1, port {port}"
        until(lambda: told in one.log.read_text(), what="it is told")
        taken.close()
        url = until(lambda: address_in(one.log.read_text()), what="metrics are served")
        assert url == f"http://127.0.0.1:{port}/metrics"
        assert "task_total" in fetch(url)
        assert one.log.read_text().count(told) == 1
        one.terminate()
        assert one.wait() == 0


def test_a_scrape_that_fails_is_told_as_unavailable_and_the_next_one_works(db, monkeypatch):
    failing = []

    @metrics.source
    def sometimes():
        if failing:
            raise RuntimeError("secret words")
        return []

    with ThreadPoolExecutor(1) as thread:
        exporter = Exporter("127.0.0.1", 0, metrics.CollectorRegistry())
        exporter.registry.register(metrics.Sources())
        monkeypatch.setattr(metrics, "_sources", {"sometimes": sometimes})
        thread.submit(exporter.serve_forever, 0.05)
        try:
            fetch(exporter.url)
            failing.append(True)
            with pytest.raises(urllib.error.HTTPError) as refused:
                fetch(exporter.url)
            with refused.value as answer:
                assert answer.code == 503
                assert b"secret" not in answer.read()
            failing.clear()
            fetch(exporter.url)
            with pytest.raises(urllib.error.HTTPError) as lost:
                fetch(exporter.url.replace("/metrics", "/"))
            with lost.value as answer:
                assert answer.code == 404
        finally:
            exporter.shutdown()
            exporter.server_close()


@pytest.mark.django_db
def test_what_is_held_back_does_not_seem_to_wait_for_workers(team, owner):
    ago = {"run_at": timezone.now() - timedelta(seconds=100), "team": team}
    queue.push(job="toy-nothing", queue="held", **ago)
    for _ in range(2):
        queue.push(job="toy-nothing", queue="turns", concurrency_key="k", **ago)
    assert queue.claim(["turns"], "me")
    pauses.pause("queue", "held", by=owner)
    samples = scraped()
    for name in ("held", "turns"):
        assert value("task_queue_depth", samples, queue=name) == 1
        assert value("task_oldest_queued_seconds", samples, queue=name) == 0


@pytest.mark.django_db
def test_attempts_are_counted_by_how_they_ended_and_outlive_their_rows(run, team):
    for outcome in (Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.LOST, Outcome.TIMED_OUT):
        run(outcome)
    retried = queue.push(job="toy-nothing", team=team, max_attempts=2)
    for number, outcome in ((1, Outcome.LOST), (2, Outcome.SUCCEEDED)):
        Task.objects.filter(pk=retried.pk).update(run_at=timezone.now())
        assert queue.claim(["default"], "w").pk == retried.pk
        assert transitions.finish(retried.pk, number, outcome)
    Task.objects.all().delete()
    samples = scraped()
    told = {
        str(how): value("task_attempts_total", samples, job="toy-nothing", outcome=str(how))
        for how in Outcome
    }
    assert told == {
        "succeeded": 3,
        "lost": 2,
        "timed_out": 1,
        "failed": 0,
        "crashed": 0,
        "cancelled": 0,
        "interrupted": 0,
    }


@pytest.mark.django_db
def test_what_is_held_back_and_kept_apart_is_told(team, owner):
    task = queue.push(job="toy-nothing", team=team)
    Task.objects.filter(pk=task.pk).update(quarantined_at=timezone.now())
    pauses.pause("job", "toy-sleep", by=owner)
    samples = scraped()
    assert value("task_quarantined", samples, job="toy-nothing") == 1
    assert value("task_quarantined", samples, job="toy-sleep") == 0
    assert value("task_paused", samples, kind="job", name="toy-sleep") == 1
