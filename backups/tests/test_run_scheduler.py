"""The scheduler in real daemons: a minute at ten seconds, and one that is killed."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from statistics import median

import pytest
from django.utils import timezone

from accounts import machines
from backups import moments
from backups.models import Backup, Channel, Delivery, Firing, Proof, Schedule
from backups.tests.clockwork import end_runs
from backups.tests.receiver import receiving
from backups.tests.yard import REAL, SHOP, folder_at, plan_for
from tasks.models import Task
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


def every(seconds: int, plan, *, first_in: float = 3.0, **more) -> Schedule:
    """Due first in so many seconds."""
    first = timezone.now() + timedelta(seconds=first_in)
    return Schedule.objects.create(
        team=plan.team,
        plan=plan,
        every_seconds=seconds,
        created_at=first.replace(microsecond=0) - timedelta(seconds=seconds),
        **more,
    )


def sleep_until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - timezone.now()).total_seconds()))


def test_it_works(plan, team, tmp_path):
    """Two daemons and workers for a minute: each moment once, all through gRPC, all told."""
    with (
        receiving() as slack,
        daemon(tmp_path),
        daemon(tmp_path),
        crew(tmp_path, workers=2, **REAL),
    ):
        Channel.objects.create(team=team, name="ops", address=slack.webhook)
        begin = timezone.now()
        backing = every(10, plan, overlap=Schedule.Overlap.WAIT)
        [first] = moments.upcoming(backing.timing(), begin, 1)
        proving = every(300, plan, first_in=25, action=Schedule.Action.DRILL)
        sleep_until(first + timedelta(seconds=55))
        backing.pause()
        until(lambda: not Backup.objects.filter(completed_at=None).exists(), 30)
        until(lambda: Proof.objects.exclude(completed_at=None).exists(), 30)
        until(lambda: len(slack.texts) == Backup.objects.count(), 30)

    due = list(moments.between(backing.timing(), begin, backing.paused_at))
    assert len(due) == 6
    firings = list(Firing.objects.filter(schedule=backing).order_by("moment"))
    assert [(one.moment, one.state) for one in firings] == [(one, State.STARTED) for one in due]
    backups = list(Backup.objects.order_by("created_at"))
    assert [one.task_id for one in firings] == [one.task_id for one in backups]
    late = [
        (b.created_at - f.moment).total_seconds() for f, b in zip(firings, backups, strict=True)
    ]
    assert median(late) < 3, late

    drill = Firing.objects.get(schedule=proving)
    assert drill.task.proof.verdict == Proof.Verdict.PROVEN
    for firing in (*firings, drill):
        assert "directly" not in firing.note
        assert firing.task.owner == machines.scheduler(team)
        assert firing.task.idempotency_key == firing.key
    assert all(text.startswith("Backup completed\nDatabase: shop\n") for text in slack.texts)
    assert not Delivery.objects.exclude(event="success").exists()


def test_another_daemon_goes_on_where_one_is_killed_between_claim_and_call(plan, tmp_path):
    """Both run at once, and go for the same moments."""
    with (
        daemon(tmp_path) as living,
        daemon(tmp_path, DJANGO_SETTINGS_MODULE="backups.tests.scheduler_settings") as dying,
    ):
        names = {one.process.pid: one.name for one in (living, dying)}
        schedule = every(10, plan, first_in=2)

        def is_killed() -> bool:
            end_runs()  # should the other have had the first moment, the next is not skipped
            return dying.process.poll() is not None

        until(is_killed, what="it is killed")
        [claimed] = Firing.objects.filter(daemon=names[dying.process.pid])
        assert claimed.state == State.CLAIMED
        assert not Task.objects.filter(idempotency_key=claimed.key).exists()
        until(
            lambda: Firing.objects.get(pk=claimed.pk).state == State.STARTED, what="it is started"
        )
        schedule.pause()

    firing = Firing.objects.get(pk=claimed.pk)
    assert firing.daemon == names[living.process.pid]
    assert firing.task.idempotency_key == claimed.key
    tasks = [one.task_id for one in Firing.objects.exclude(task=None).order_by("moment")]
    assert tasks == list(Backup.objects.order_by("created_at").values_list("task_id", flat=True))
