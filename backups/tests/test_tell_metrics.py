"""What Prometheus is told of backups."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.exposition import generate_latest

from accounts.models import Team
from backups.models import Backup, Database, Destination, Firing, Plan, Proof, Schedule
from tasks import metrics, queue, transitions
from tasks.models import Task
from tasks.states import Outcome
from tasks.tests.test_tell_metrics import scraped, times_asked, value

PER_DATABASE = {
    "backup_success_total",
    "backup_failure_total",
    "backup_duration_seconds_bucket",
    "backup_duration_seconds_sum",
    "backup_duration_seconds_count",
    "backup_last_success_timestamp_seconds",
    "backup_size_bytes",
    "backup_verified_timestamp_seconds",
}


def planned(team: Team, name: str = "shop") -> Plan:
    database = Database.objects.create(team=team, name=name, dbname=name, username="u")
    destination, _ = Destination.objects.get_or_create(team=team, name="disk", kind="local")
    return Plan.objects.create(
        team=team, name=name, database=database, destination=destination, max_attempts=1
    )


def run(plan: Plan, outcome: Outcome, *, size: int = 0, seconds: float = 3.0) -> Backup:
    """A run of the plan as it ends, without the work."""
    backup = plan.start(by=None)
    assert queue.claim(["default"], "w").pk == backup.task_id
    now = timezone.now()
    Task.objects.filter(pk=backup.task_id).update(started_at=now - timedelta(seconds=seconds))
    if outcome == Outcome.SUCCEEDED:
        Backup.objects.filter(pk=backup.pk).update(completed_at=now, stored_bytes=size)
    assert transitions.finish(backup.task_id, 1, outcome)
    return backup


def test_it_works(team):
    plan = planned(team)
    run(plan, Outcome.SUCCEEDED, size=11_000)
    backup = run(plan, Outcome.SUCCEEDED, size=12_000, seconds=20)
    run(plan, Outcome.FAILED, seconds=500)
    proven_at = timezone.now() - timedelta(days=1)
    Proof.objects.create(team=team, backup=backup, verdict="proven", completed_at=proven_at)
    Proof.objects.create(team=team, backup=backup, verdict="broken", completed_at=timezone.now())
    samples = scraped()
    shop = {"database": "shop"}
    assert value("backup_success_total", samples, **shop) == 2
    assert value("backup_failure_total", samples, **shop) == 1
    assert value("backup_duration_seconds_bucket", samples, **shop, le="5.0") == 1
    assert value("backup_duration_seconds_count", samples, **shop) == 2
    assert value("backup_duration_seconds_sum", samples, **shop) == pytest.approx(23, abs=2)
    assert value("backup_size_bytes", samples, **shop) == 12_000
    last = value("backup_last_success_timestamp_seconds", samples, **shop)
    assert last == pytest.approx(timezone.now().timestamp(), abs=20)
    verified = value("backup_verified_timestamp_seconds", samples, **shop)
    assert verified == pytest.approx(proven_at.timestamp(), abs=0.01)
    told = {(name, tuple(dict(labels))) for name, labels in samples if name.startswith("backup_d")}
    assert told <= {(n, ls) for n in PER_DATABASE for ls in [("database",), ("database", "le")]}
    names = {name for name, labels in samples if dict(labels).get("database") == "shop"}
    assert names >= PER_DATABASE


def test_a_database_with_a_plan_counts_from_zero_and_one_without_is_not_told(team):
    planned(team)
    Database.objects.create(team=team, name="target", dbname="t", username="u")
    samples = scraped()
    assert value("backup_success_total", samples, database="shop") == 0
    assert value("backup_failure_total", samples, database="shop") == 0
    assert value("backup_duration_seconds_count", samples, database="shop") == 0
    assert value("backup_last_success_timestamp_seconds", samples, database="shop") is None
    assert not any(dict(labels).get("database") == "target" for _, labels in samples)


def test_counters_survive_the_deletion_of_the_rows_and_follow_a_new_name(team):
    plan = planned(team)
    run(plan, Outcome.SUCCEEDED)
    run(plan, Outcome.FAILED)
    Backup.objects.all().delete()
    Task.objects.all().delete()
    assert value("backup_success_total", database="shop") == 1
    assert value("backup_failure_total", database="shop") == 1
    Database.objects.update(name="store")
    assert value("backup_success_total", database="store") == 1
    assert value("backup_success_total", database="shop") is None


def test_two_teams_may_use_one_name(team):
    other = Team.objects.create(name="Elsewhere")
    run(planned(team), Outcome.SUCCEEDED)
    planned(other)
    samples = scraped()
    assert value("backup_success_total", samples, database="Home/shop") == 1
    assert value("backup_success_total", samples, database="Elsewhere/shop") == 0


def test_a_schedule_is_overdue_while_a_due_moment_came_to_nothing(team):
    plan = planned(team)
    now = timezone.now()
    nightly = Schedule.objects.create(team=team, plan=plan, name="nightly", every_seconds=3600)

    def overdue() -> float | None:
        return value("backup_schedule_overdue_seconds", database="shop", schedule="nightly")

    def change(**more) -> None:
        Schedule.objects.filter(pk=nightly.pk).update(**more)

    assert overdue() == 0
    change(created_at=now - timedelta(hours=9), seen_until=now - timedelta(hours=2))
    assert 3600 <= overdue() <= 7200  # no daemon has looked for two hours
    change(paused_at=now)
    assert overdue() is None
    change(paused_at=None, seen_until=now)
    assert overdue() == 0
    firing = Firing.objects.create(schedule=nightly, moment=now - timedelta(minutes=20))
    assert overdue() == pytest.approx(1200, abs=20)
    Firing.objects.filter(pk=firing.pk).update(state=Firing.State.STARTED)
    assert overdue() == 0
    change(every_seconds=None, cron="nonsense", seen_until=now - timedelta(hours=5))
    assert overdue() == pytest.approx(5 * 3600, abs=20)


def test_a_scrape_asks_as_many_questions_for_many_databases_as_for_one(team):
    registry = metrics.new_registry()

    def questions() -> int:
        with CaptureQueriesContext(connection) as asked:
            generate_latest(registry)
        return len(asked)

    plan = planned(team)
    run(plan, Outcome.SUCCEEDED)
    Schedule.objects.create(team=team, plan=plan, cron="@daily")
    few = questions()
    for number in range(10):
        plan = planned(team, f"db{number}")
        run(plan, Outcome.SUCCEEDED)
        Schedule.objects.create(team=team, plan=plan, cron="@daily")
    assert questions() == few <= 16 + times_asked()
