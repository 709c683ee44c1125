"""The scheduler against a clock of the test's: what is fired when, once, and what is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from backups import moments, runs, scheduler
from backups.models import Backup, Channel, Delivery, Firing, RefusedError, Schedule
from backups.rpc import client
from backups.scheduler import Scheduler
from tasks.models import Task
from tasks.states import Status

pytestmark = pytest.mark.django_db

NIGHT = datetime(2026, 5, 4, 2, tzinfo=UTC)
EVE = NIGHT - timedelta(hours=3)
State = Firing.State


@pytest.fixture
def new_schedule(team, plan):
    def make(**more) -> Schedule:
        more = {"cron": "0 2 * * *", **({"cron": ""} if "every_seconds" in more else {}), **more}
        schedule = Schedule(team=team, plan=plan, created_at=EVE, seen_until=EVE, **more)
        schedule.save()
        return schedule

    return make


@pytest.fixture
def channel(team) -> Channel:
    return Channel.objects.create(team=team, name="ops", address="http://127.0.0.1:1/hook")


@pytest.fixture
def direct(monkeypatch) -> list[str]:
    """No gRPC: what is called is noted, and started as the server would."""
    called = []

    def run_backup(plan, *, idempotency_key, patience):
        called.append(idempotency_key)
        return plan.start(by=client.asker(plan), idempotency_key=idempotency_key).pk

    monkeypatch.setattr(client, "run_backup", run_backup)
    return called


def daemon(name: str = "one") -> Scheduler:
    return Scheduler(name, submit=lambda call: call())


def after(**time) -> datetime:
    return NIGHT + timedelta(**time)


def firings() -> list[tuple[datetime, str]]:
    return list(Firing.objects.order_by("moment").values_list("moment", "state"))


def end_runs(status: Status = Status.SUCCEEDED) -> None:
    Task.objects.filter(job="backup").update(status=status)


def test_it_works(new_schedule, direct):
    schedule = new_schedule()
    one = daemon()

    one.look(after(seconds=-1))
    assert firings() == []
    one.look(after(seconds=0.5))
    one.look(after(seconds=1.5))

    assert firings() == [(NIGHT, State.STARTED)]
    firing = Firing.objects.get()
    assert direct == [firing.key]
    assert firing.task == Backup.objects.get().task
    assert firing.note == ""
    schedule.refresh_from_db()
    assert schedule.seen_until == NIGHT


def test_many_daemons_fire_a_moment_once(new_schedule, direct):
    new_schedule()
    crew = [daemon(f"daemon {n}") for n in range(5)]

    for second in range(3):
        for one in crew:
            one.look(after(seconds=second))

    assert len(direct) == 1
    assert Backup.objects.count() == 1


def test_a_year_in_three_time_zones_fires_every_day_once(new_schedule, monkeypatch):
    monkeypatch.setattr(scheduler, "KEPT", timedelta(days=500))
    zones = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for zone in zones:
        new_schedule(time_zone=zone, cron="15 2 * * *", name=zone.replace("/", "-"))
    Schedule.objects.update(created_at=begin, seen_until=begin)
    crew = [Scheduler(f"daemon {n}", submit=lambda call: None) for n in range(2)]
    due = {
        moment
        for schedule in Schedule.objects.all()
        for moment in moments.between(schedule.timing(), begin, begin + timedelta(days=365))
    }

    for number, moment in enumerate(sorted(due)):
        crew[number % 2].look(moment + timedelta(seconds=0.3))
        Firing.objects.filter(state=State.CLAIMED).update(state=State.STARTED)

    for zone in zones:
        mine = Firing.objects.filter(schedule__time_zone=zone)
        days = [
            moment.astimezone(ZoneInfo(zone)).date()
            for moment in mine.values_list("moment", flat=True)
        ]
        assert len(days) == len(set(days)) == 365
    assert not Firing.objects.exclude(state=State.STARTED).exists()


def test_a_day_without_a_daemon_is_made_up_for_by_one_run(new_schedule, direct, channel):
    new_schedule(cron="0 * * * *")

    daemon().look(after(hours=24, minutes=20))
    daemon("another").look(after(hours=24, minutes=20, seconds=1))

    assert firings() == [(after(hours=24), State.STARTED)]
    assert "Run once" in Firing.objects.get().note
    assert "26 earlier moments" in Firing.objects.get().note
    assert len(direct) == 1


def test_a_day_without_a_daemon_is_passed_over_where_the_schedule_says_so(
    new_schedule, direct, channel
):
    new_schedule(missed=Schedule.Missed.SKIP)

    one = daemon()
    one.look(after(hours=20))
    assert firings() == [(NIGHT, State.SKIPPED)]
    one.look(after(hours=24, seconds=2))

    assert firings() == [(NIGHT, State.SKIPPED), (after(hours=24), State.STARTED)]
    assert len(direct) == 1


@pytest.mark.parametrize("missed", Schedule.Missed)
def test_a_short_absence_is_no_miss(new_schedule, direct, channel, missed):
    new_schedule(missed=missed)

    daemon().look(after(seconds=40))

    assert firings() == [(NIGHT, State.STARTED)]
    assert Firing.objects.get().note == ""
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("missed", Schedule.Missed)
def test_a_missed_run_is_told_once(new_schedule, direct, channel, missed):
    new_schedule(missed=missed, name="nightly")

    for n in range(3):
        daemon(f"daemon {n}").look(after(minutes=30, seconds=n))
    end_runs()

    told = Delivery.objects.get()
    assert told.event == "missed"
    assert told.title == "Schedule missed"
    assert told.text.splitlines()[:3] == [
        "Schedule: nightly",
        "Database: shop",
        "Due: 2026-05-04T02:00:00Z",
    ]
    assert "no daemon ran" in told.text


def test_a_run_that_no_worker_begins_is_told_once(new_schedule, direct, channel):
    new_schedule()
    one = daemon()
    one.look(NIGHT)

    one.look(after(minutes=4))
    assert not Delivery.objects.exists()
    one.look(after(minutes=6))
    one.look(after(minutes=7))

    assert "no worker has begun it" in Delivery.objects.get().text


def test_a_run_that_began_is_not_told(new_schedule, direct, channel):
    new_schedule()
    one = daemon()
    one.look(NIGHT)
    Task.objects.filter(job="backup").update(status=Status.RUNNING, attempt=1)

    one.look(after(minutes=30))

    assert not Delivery.objects.exists()


def test_a_plan_that_refuses_is_told_and_the_next_moment_is_tried(
    new_schedule, direct, channel, plan
):
    new_schedule()
    plan.enabled = False
    plan.save()
    one = daemon()
    one.look(NIGHT)
    one.look(after(seconds=1))

    assert firings() == [(NIGHT, State.FAILED)]
    assert "switched off" in Firing.objects.get().note
    assert "switched off" in Delivery.objects.get().text

    plan.enabled = True
    plan.save()
    one.look(after(days=1))
    assert firings()[1] == (after(days=1), State.STARTED)


def test_a_clock_set_back_fires_nothing_twice(new_schedule, direct):
    new_schedule(every_seconds=600, overlap="wait")
    one = daemon()
    for minutes in (0, 10, 20):
        one.look(after(minutes=minutes))
        end_runs()
    before = len(direct)

    for minutes in (-30, -20, -10, 0, 10, 20):
        one.look(after(minutes=minutes))
        end_runs()
    assert len(direct) == before
    one.look(after(minutes=30))

    assert len(direct) == before + 1


def test_a_clock_that_was_far_ahead_costs_no_moment(new_schedule, direct):
    new_schedule()
    one = daemon()
    one.look(after(days=2))  # by mistake
    end_runs()

    for day in range(4):
        one.look(after(days=day))
        end_runs()

    assert [moment for moment, _ in firings()] == [after(days=day) for day in range(4)]
    assert len(set(direct)) == 5


def test_a_run_is_skipped_while_the_one_before_is_under_way(new_schedule, direct):
    new_schedule(every_seconds=10)
    one = daemon()
    one.look(NIGHT)

    one.look(after(seconds=10))
    assert firings()[1:] == [(after(seconds=10), State.SKIPPED)]
    assert "under way" in Firing.objects.first().note
    end_runs()
    one.look(after(seconds=20))

    assert firings()[2:] == [(after(seconds=20), State.STARTED)]
    assert len(direct) == 2


def test_one_run_waits_for_the_end_of_the_one_before(new_schedule, direct):
    new_schedule(every_seconds=10, overlap=Schedule.Overlap.WAIT)
    one = daemon()
    for seconds in (0, 10, 20):
        one.look(after(seconds=seconds))
    assert [state for _, state in firings()] == [State.STARTED, State.WAITING, State.SKIPPED]

    end_runs(Status.FAILED)
    daemon("another").look(after(seconds=25))

    assert [state for _, state in firings()] == [State.STARTED, State.STARTED, State.SKIPPED]
    assert len(direct) == 2


def test_a_malformed_row_is_reported_alone(new_schedule, direct, caplog):
    broken = new_schedule(name="broken")
    lost = new_schedule(name="lost")
    new_schedule(name="good")
    Schedule.objects.filter(pk=broken.pk).update(cron="at night")
    Schedule.objects.filter(pk=lost.pk).update(time_zone="Mars/Base")
    one = daemon()

    one.look(NIGHT)
    one.look(after(seconds=1))

    assert [firing.schedule.name for firing in Firing.objects.all()] == ["good"]
    broken.refresh_from_db()
    lost.refresh_from_db()
    assert "five fields" in broken.error
    assert "time zone" in lost.error
    assert len([r for r in caplog.records if "can't run" in r.message]) == 2

    Schedule.objects.filter(pk=broken.pk).update(cron="0 2 * * *")
    one.look(after(seconds=2))
    broken.refresh_from_db()
    assert broken.error == ""


def test_what_is_paused_fires_nothing_and_is_not_missed(new_schedule, direct, channel):
    schedule = new_schedule()
    schedule.pause()
    one = daemon()
    one.look(after(days=3, seconds=5))
    assert firings() == []

    schedule.resume()
    Schedule.objects.update(seen_until=after(days=3, seconds=6))
    one.look(after(days=3, seconds=7))

    assert firings() == []
    assert not Delivery.objects.exists()


def test_a_daemon_that_died_after_its_claim_is_stood_in_for(new_schedule, direct):
    new_schedule()
    Scheduler("dead", submit=lambda call: None).look(NIGHT)
    assert firings() == [(NIGHT, State.CLAIMED)]

    other = daemon("living")
    other.look(after(seconds=5))
    assert direct == []
    other.look(after(seconds=31))
    other.look(after(seconds=62))

    assert firings() == [(NIGHT, State.STARTED)]
    assert Firing.objects.get().daemon == "living"
    assert Backup.objects.count() == 1


def test_a_daemon_that_died_after_its_call_leaves_one_backup(new_schedule, direct):
    new_schedule()
    Scheduler("dead", submit=lambda call: None).look(NIGHT)
    runs.start(Firing.objects.get())  # and died before it could write that down

    daemon("living").look(after(seconds=31))

    assert firings() == [(NIGHT, State.STARTED)]
    assert Backup.objects.count() == 1


def test_without_grpc_the_run_is_started_directly_and_that_is_noted(new_schedule, monkeypatch):
    new_schedule()
    monkeypatch.setattr(runs, "PATIENCE", 0.1)  # no server listens in the process of the tests

    daemon().look(NIGHT)

    firing = Firing.objects.get()
    assert firing.state == State.STARTED
    assert firing.note == "Started directly, since gRPC did not answer."
    assert firing.task.idempotency_key == firing.key
    assert firing.task.owner.username == "system:scheduler"


def test_what_fails_unexpectedly_is_tried_again(new_schedule, monkeypatch, direct):
    new_schedule()
    good = client.run_backup
    monkeypatch.setattr(client, "run_backup", lambda *a, **k: 1 / 0)
    one = daemon()
    one.look(NIGHT)
    assert firings() == [(NIGHT, State.CLAIMED)]

    monkeypatch.setattr(client, "run_backup", good)
    one.look(after(seconds=31))

    assert firings() == [(NIGHT, State.STARTED)]


def test_a_drill_proves_the_newest_complete_backup(new_schedule, backup):
    new_schedule(action=Schedule.Action.DRILL)
    Backup.objects.create(
        team=backup.team, plan=backup.plan, database=backup.database, destination=backup.destination
    )  # newer, but not complete

    daemon().look(NIGHT)

    firing = Firing.objects.get()
    assert firing.task.job == "drill"
    assert firing.task.proof.backup == backup
    assert runs.start(firing)[0] == firing.task_id  # again: the same


def test_a_drill_without_a_backup_is_told(new_schedule, channel):
    new_schedule(action=Schedule.Action.DRILL)

    daemon().look(NIGHT)

    assert firings() == [(NIGHT, State.FAILED)]
    assert "no complete backup" in Delivery.objects.get().text


def test_old_firings_are_forgotten(new_schedule, direct):
    new_schedule()
    one = daemon()
    one.look(NIGHT)

    one.look(NIGHT + scheduler.KEPT + timedelta(days=2))

    assert NIGHT not in [moment for moment, _ in firings()]


def test_a_tick_survives_a_database_that_is_away(monkeypatch, caplog):
    def away():
        raise RefusedError("away")

    monkeypatch.setattr(scheduler.clock, "read", away)
    one = daemon()

    one.tick()
    one.tick()

    assert len([r for r in caplog.records if "scheduler failed" in r.message]) == 1
