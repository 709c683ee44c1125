"""The scheduler against a clock of the test's: what a moment starts, whatever happens."""

from __future__ import annotations

import pytest

from backups import runs
from backups.models import Backup, Delivery, Firing, Proof, Schedule
from backups.rpc import client
from backups.scheduler import Scheduler
from backups.tests.clockwork import NIGHT, State, after, daemon, end_runs, firings
from tasks.states import Status

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize("action", Schedule.Action)
def test_without_grpc_the_run_is_started_directly_and_that_is_noted(
    new_schedule, backup, monkeypatch, action
):
    new_schedule(action=action)
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


def test_a_drill_proves_the_newest_complete_backup(new_schedule, backup, direct):
    new_schedule(action=Schedule.Action.DRILL)
    Backup.objects.create(
        team=backup.team, plan=backup.plan, database=backup.database, destination=backup.destination
    )  # newer, but not complete

    daemon().look(NIGHT)

    firing = Firing.objects.get()
    assert firing.task.job == "drill"
    assert firing.task.proof.backup == backup
    assert direct == [firing.key]
    assert runs.start(firing)[0] == firing.task_id  # again: the same


def test_a_drill_is_one_though_a_newer_backup_is_there_when_another_daemon_takes_over(
    new_schedule, backup, direct
):
    new_schedule(action=Schedule.Action.DRILL)
    Scheduler("dead", submit=lambda call: None).look(NIGHT)
    proven, _ = runs.start(Firing.objects.get())  # and died before it could write that down
    Backup.objects.create(
        team=backup.team,
        plan=backup.plan,
        database=backup.database,
        destination=backup.destination,
        completed_at=NIGHT,
    )

    daemon("living").look(after(seconds=31))

    assert firings() == [(NIGHT, State.STARTED)]
    assert Firing.objects.get().task_id == proven
    assert Proof.objects.count() == 1


def test_a_drill_without_a_backup_is_told(new_schedule, direct, channel):
    new_schedule(action=Schedule.Action.DRILL)

    daemon().look(NIGHT)

    assert firings() == [(NIGHT, State.FAILED)]
    assert "no complete backup" in Delivery.objects.get().text
