"""The scheduler against a clock of the test's: which moments are fired, and that each is once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from backups import moments, scheduler
from backups.models import Backup, Delivery, Firing, RefusedError, Schedule
from backups.scheduler import Scheduler
from backups.tests.clockwork import NIGHT, State, after, daemon, end_runs, firings

pytestmark = pytest.mark.django_db

THREADS = 8


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


@pytest.mark.django_db(transaction=True)
def test_many_daemons_that_claim_a_moment_at_once_fire_it_once(new_schedule, direct, monkeypatch):
    """Each has found it due, over a connection of its own, before the first one claims it."""
    schedule = new_schedule()
    together, claim = Barrier(THREADS), scheduler._claim

    def claim_together(*arguments):
        together.wait(60)
        return claim(*arguments)

    def look(number: int) -> None:
        try:
            daemon(f"daemon {number}").look(NIGHT)
        finally:
            connection.close()

    monkeypatch.setattr(scheduler, "_claim", claim_together)
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(look, range(THREADS)))

    assert firings() == [(NIGHT, State.STARTED)]
    assert direct == [Firing.objects.get().key]
    assert Backup.objects.get().task == Firing.objects.get().task
    schedule.refresh_from_db()
    assert (schedule.seen_until, schedule.error) == (NIGHT, "")


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


def test_an_interval_in_place_of_a_cron_expression_fires_as_any_other(new_schedule, direct):
    new_schedule(cron="@every 1h")
    one = daemon()
    one.look(NIGHT)
    end_runs()
    one.look(after(minutes=59))
    one.look(after(hours=1, seconds=1))

    assert [moment for moment, _ in firings()] == [NIGHT, after(hours=1)]


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
