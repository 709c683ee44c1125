"""The scheduler against a clock of the test's: what was missed or is late, and who is told."""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from backups.models import Delivery, Firing, Schedule
from backups.notifications import notices
from backups.scheduler import Scheduler
from backups.tests.clockwork import NIGHT, State, after, daemon, end_runs, firings
from tasks.models import Task
from tasks.states import Status

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize("missed", Schedule.Missed)
@pytest.mark.parametrize("error", [IntegrityError("no such team"), RuntimeError("no words")])
def test_a_notice_that_fails_costs_no_run_and_is_told_later(
    new_schedule, direct, channel, monkeypatch, caplog, missed, error
):
    def fail(*arguments, **options):
        raise error

    new_schedule(missed=missed)
    one = daemon()
    with monkeypatch.context() as patch:
        patch.setattr(notices, "tell", fail)
        one.look(after(minutes=30))
        one.look(after(minutes=30, seconds=1))
    skipped = missed == Schedule.Missed.SKIP
    assert firings() == [(NIGHT, State.SKIPPED if skipped else State.STARTED)]
    assert len(direct) == (0 if skipped else 1)
    assert not Delivery.objects.exists()
    assert len([r for r in caplog.records if "notice" in r.message]) == 1

    daemon("another").look(after(minutes=31))
    one.look(after(minutes=31, seconds=1))

    assert "no daemon ran" in Delivery.objects.get().text
    assert "Due: 2026-05-04T02:00:00Z" in Delivery.objects.get().text
    one.look(after(days=1))
    assert firings()[1][0] == after(days=1)


def test_a_notice_that_fails_holds_up_no_other(new_schedule, direct, channel, monkeypatch):
    tell = notices.tell

    def fail_once(team, topic, subject, message):
        if "broken" in message.text:
            raise RuntimeError("no words")
        tell(team, topic, subject, message)

    monkeypatch.setattr(notices, "tell", fail_once)
    new_schedule(name="broken")
    new_schedule(name="good")

    daemon().look(after(minutes=30))

    assert "Schedule: good" in Delivery.objects.get().text
    assert len(direct) == 2


def test_what_was_missed_is_told_though_its_daemon_died_before_it_could(
    new_schedule, direct, channel, monkeypatch
):
    """And though it was missed long ago: what counts is when that was found."""
    new_schedule(cron="0 2 * * 1", missed=Schedule.Missed.SKIP)
    dying = Scheduler("dead", submit=lambda call: None)
    monkeypatch.setattr(dying, "_tell_late", lambda now: None)
    dying.look(after(days=6))
    assert firings() == [(NIGHT, State.SKIPPED)]

    daemon("living").look(after(days=6, seconds=1))

    assert "Due: 2026-05-04T02:00:00Z" in Delivery.objects.get().text


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
