"""One backup of a database at a time; restores and drills don't get into each other's way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backups.models import Backup, Channel, Database, Delivery, Destination, Firing, Plan, Schedule
from backups.scheduler import Scheduler
from tasks import places, queue, transitions
from tasks.models import Task
from tasks.states import Outcome

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(team) -> Database:
    return Database.objects.create(team=team, name="shop", dbname="shop", username="u")


@pytest.fixture
def plans(team, shop) -> list[Plan]:
    """Two of the same database."""
    disk = Destination.objects.create(team=team, name="disk", kind="local")
    return [
        Plan.objects.create(team=team, name=name, database=shop, destination=disk)
        for name in ("hourly", "nightly")
    ]


@pytest.fixture
def complete(plans) -> Backup:
    backup = plans[0].start(by=None)
    end(claim())
    Backup.objects.filter(pk=backup.pk).update(completed_at=timezone.now())
    backup.refresh_from_db()
    return backup


@pytest.fixture
def channel(team) -> Channel:
    return Channel.objects.create(team=team, name="ops", address="http://127.0.0.1:1/hook")


def claim() -> Task | None:
    return queue.claim(["default"], "me")


def end(task: Task) -> None:
    assert transitions.finish(task.pk, task.attempt, Outcome.SUCCEEDED)


def test_it_works(plans):
    first, second = (plan.start(by=None) for plan in plans)
    running = claim()
    assert running.pk == first.task_id
    assert claim() is None
    second.task.refresh_from_db()
    place = places.of(second.task)
    assert place.why == f"Waits for its turn at database:{plans[0].database_id}."
    end(running)
    assert claim().pk == second.task_id


def test_backups_of_other_databases_go_on(team, plans):
    other = Database.objects.create(team=team, name="till", dbname="till", username="u")
    plans[1].database = other
    for plan in plans:
        plan.start(by=None)
    assert claim() is not None
    assert claim() is not None


def test_restores_into_one_database_take_turns(complete, shop):
    for dbname in ("copy", "copy", "other"):
        complete.restore(by=None, target=shop, dbname=dbname)
    running = [claim(), claim()]
    assert claim() is None
    assert {task.restore.dbname for task in running} == {"copy", "other"}


def test_a_restore_over_a_database_waits_for_its_backup(complete, plans, shop):
    plans[0].start(by=None)
    claim()
    complete.restore(by=None, target=shop, dbname="shop", replace=True)
    assert claim() is None


def test_drills_of_one_database_take_turns_beside_its_backup(complete, plans):
    plans[0].start(by=None)
    for _ in range(2):
        complete.prove(by=None)
    assert {claim().job, claim().job} == {"backup", "drill"}
    assert claim() is None


def test_a_scheduled_run_that_waits_for_its_turn_is_not_told_as_missed(team, plans, channel):
    task = plans[1].start(by=None).task
    now = timezone.now()
    schedule = Schedule.objects.create(
        team=team, plan=plans[0], cron="0 2 1 1 *", created_at=now, seen_until=now
    )
    waiting = plans[0].start(by=None).task
    long_ago = now - timedelta(minutes=30)
    firing = Firing.objects.create(
        schedule=schedule, moment=long_ago, created_at=long_ago, state="started", task=waiting
    )
    assert claim().pk == task.pk
    Scheduler("one", submit=lambda call: call()).look(timezone.now())
    assert not Delivery.objects.exists()
    end(Task.objects.get(pk=task.pk))
    Scheduler("one", submit=lambda call: call()).look(timezone.now())
    assert Delivery.objects.exists(), "nobody takes it though it could start"
    firing.refresh_from_db()
    assert firing.late_told_at is not None
