"""The scheduler in real daemons: several, one that is killed, and half a minute at ten seconds."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from accounts import machines
from backups.models import Backup, Channel, Delivery, Firing, Schedule
from backups.tests.receiver import receiving
from backups.tests.yard import REAL, SHOP, folder_at, plan_for
from tasks.tests.crew import crew, daemon, until
from tests import servers

State = Firing.State


@pytest.fixture(scope="session")
def small_shop(postgres15):
    with servers.new_database(postgres15, SHOP.format(rows=20)) as dbname:
        yield dbname


@pytest.fixture
def plan(transactional_db, team, postgres15, small_shop, tmp_path):
    return plan_for(team, postgres15, small_shop, folder_at(team, tmp_path / "stored"))


def every_ten_seconds(plan, *, first_in: float = 3.0) -> Schedule:
    """Due first in so many seconds."""
    first = timezone.now() + timedelta(seconds=first_in)
    return Schedule.objects.create(
        team=plan.team,
        plan=plan,
        every_seconds=10,
        created_at=first.replace(microsecond=0) - timedelta(seconds=10),
    )


def test_it_works(plan, team, tmp_path):
    """Two daemons and workers for half a minute: each moment once, all through gRPC, all told."""
    with (
        receiving() as slack,
        daemon(tmp_path),
        daemon(tmp_path),
        crew(tmp_path, workers=2, **REAL),
    ):
        Channel.objects.create(team=team, name="ops", address=slack.webhook)
        begin = timezone.now()
        schedule = every_ten_seconds(plan)
        until(lambda: Firing.objects.filter(state=State.STARTED).count() >= 3, 45)
        schedule.pause()
        until(lambda: Backup.objects.filter(completed_at__isnull=True).count() == 0, 30)
        until(lambda: len(slack.texts) == Backup.objects.count(), 30)

    firings = list(Firing.objects.order_by("moment"))
    assert {later.moment - early.moment for early, later in pairwise(firings)} == {
        timedelta(seconds=10)
    }
    assert all(firing.moment > begin - timedelta(seconds=1) for firing in firings)
    assert {firing.note for firing in firings} == {""}, "not started directly"
    assert [f.task_id for f in firings] == [
        b.task_id for b in Backup.objects.order_by("created_at")
    ]
    assert {backup.task.owner for backup in Backup.objects.all()} == {machines.scheduler(team)}
    late = [
        (b.created_at - f.moment).total_seconds()
        for f, b in zip(firings, Backup.objects.order_by("created_at"), strict=True)
    ]
    assert max(late) < 8, late
    assert all(text.startswith("Backup completed\nDatabase: shop\n") for text in slack.texts)
    assert not Delivery.objects.exclude(event="success").exists()


def test_another_daemon_goes_on_where_one_was_killed_between_claim_and_call(plan, tmp_path):
    with daemon(tmp_path, DJANGO_SETTINGS_MODULE="backups.tests.scheduler_settings") as dying:
        schedule = every_ten_seconds(plan, first_in=1)
        until(lambda: dying.process.poll() is not None, 30, "it is killed")
    claimed = Firing.objects.get()
    assert claimed.state == State.CLAIMED
    assert not Backup.objects.exists()
    schedule.pause()

    with daemon(tmp_path), daemon(tmp_path):
        until(lambda: Firing.objects.get().state == State.STARTED, 30)
        time.sleep(3)  # another look or two by both

    firing = Firing.objects.get()
    assert firing.daemon != claimed.daemon
    assert firing.task == Backup.objects.get().task
    assert firing.task.idempotency_key == claimed.key
