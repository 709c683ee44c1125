"""`tasks.transitions`: moves, and what follows from them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import Q
from django.utils import timezone

from tasks import queue, reaper, transitions
from tasks.models import Attempt, Task
from tasks.states import Outcome, Status
from tasks.tests.crew import Toys, Work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def told(tmp_path):
    return tmp_path / "told"


@pytest.fixture
def running(toys: Toys, told) -> Task:
    toys.push("nothing", args={"told": str(told)})
    return queue.claim(["default"], "me")


def finish(task: Task, outcome: Outcome, **options) -> Status | None:
    return transitions.finish(task.pk, task.attempt, outcome, **options)


def test_it_works(running):
    assert finish(running, Outcome.SUCCEEDED, result={"a": 1}) == Status.SUCCEEDED
    row = Work(running).row
    assert (row.status, row.result, row.lease_expires_at) == (Status.SUCCEEDED, {"a": 1}, None)
    assert row.finished_at is not None
    assert Work(running).outcomes == [Outcome.SUCCEEDED]


def test_events_bear_the_numbers_of_the_moves(running):
    finish(running, Outcome.FAILED, error="Oh.")
    row = Work(running).row
    numbers = list(row.events.values_list("seq", flat=True))
    assert numbers == [1, 2, 3]
    assert row.seq == 3
    assert Work(running).history[1:] == [
        "Started by me",
        "Attempt 1: Failed: Oh. It goes back to the queue.",
    ]


def test_a_move_not_in_the_table_is_a_mistake(running):
    with pytest.raises(ValueError, match="never moves"):
        transitions.move(running.pk, Status.SUCCEEDED, Status.QUEUED)


def test_a_lost_race_is_told_and_changes_nothing(running):
    assert finish(running, Outcome.CANCELLED) == Status.CANCELLED
    before = Work(running).row
    assert not transitions.move(running.pk, Status.RUNNING, Status.SUCCEEDED)
    assert finish(running, Outcome.SUCCEEDED) is None
    assert Work(running).row.seq == before.seq


def test_an_attempt_that_lost_its_task_changes_nothing(running):
    assert finish(running, Outcome.LOST, retry_after=0) == Status.QUEUED
    second = queue.claim(["default"], "other")
    assert second.attempt == 2
    assert finish(running, Outcome.SUCCEEDED, result={"stale": True}) is None
    row = Work(running).row
    assert (row.status, row.attempt, row.worker, row.result) == (Status.RUNNING, 2, "other", None)


def test_a_condition_is_part_of_the_move(running):
    late = Q(lease_expires_at__lt=timezone.now())
    assert finish(running, Outcome.LOST, only_if=late) is None
    assert Work(running).outcomes == [""]
    assert finish(running, Outcome.LOST, only_if=~late) == Status.QUEUED


@pytest.mark.parametrize(
    ("outcome", "to"),
    [
        (Outcome.FAILED, Status.QUEUED),
        (Outcome.TIMED_OUT, Status.QUEUED),
        (Outcome.CRASHED, Status.QUEUED),
        (Outcome.LOST, Status.QUEUED),
        (Outcome.INTERRUPTED, Status.QUEUED),
        (Outcome.CANCELLED, Status.CANCELLED),
        (Outcome.SUCCEEDED, Status.SUCCEEDED),
    ],
)
def test_each_outcome_leads_somewhere(running, outcome, to):
    assert finish(running, outcome) == to


def test_tries_run_out(running):
    Task.objects.filter(pk=running.pk).update(tries=3)
    assert finish(running, Outcome.CRASHED, error="Died.") == Status.FAILED
    assert Work(running).row.error == "Died."


def test_an_interrupted_try_is_not_counted(running):
    Task.objects.filter(pk=running.pk).update(tries=3)
    assert finish(running, Outcome.INTERRUPTED) == Status.QUEUED
    row = Work(running).row
    assert (row.tries, row.attempt) == (2, 1)
    assert row.run_at <= timezone.now()


def test_a_permanent_error_is_not_tried_again(running):
    assert finish(running, Outcome.FAILED, permanent=True) == Status.FAILED


def test_a_waiting_task_is_cancelled_at_once(toys, told, owner):
    work = toys.push("nothing", args={"told": str(told)})
    assert transitions.cancel(work.row, by=owner)
    assert work.row.status == Status.CANCELLED
    assert work.history[-1] == "Cancelled by owner"
    assert told.read_text().split()[1] == "cancelled"
    assert not transitions.cancel(work.row, by=owner)


def test_a_running_task_is_asked_to_stop_once(running, owner):
    work = Work(running)
    assert transitions.cancel(running, by=owner)
    assert transitions.cancel(running, by=owner)
    row = work.row
    assert (row.status, row.cancel_requested_at is not None) == (Status.RUNNING, True)
    assert [line for line in work.history if "stop" in line] == ["Asked to stop by owner"]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.LOST, Outcome.INTERRUPTED])
def test_a_task_asked_to_stop_never_goes_back_to_the_queue(running, outcome):
    transitions.cancel(running, by=None)
    assert finish(running, outcome) == Status.CANCELLED


def test_a_person_retries_a_failed_task_with_fresh_tries(running, owner):
    assert not transitions.retry(running, by=owner)
    finish(running, Outcome.FAILED, error="Oh.", permanent=True)
    assert transitions.retry(running, by=owner)
    row = Work(running).row
    assert (row.status, row.tries, row.error, row.finished_at) == (Status.QUEUED, 0, "", None)
    assert not transitions.retry(running, by=owner)
    assert queue.claim(["default"], "me").attempt == 2


def test_the_callback_is_called_after_the_end_and_only_then(running, told):
    finish(running, Outcome.FAILED, retry_after=0)
    assert not told.exists()
    finish(queue.claim(["default"], "me"), Outcome.SUCCEEDED)
    assert told.read_text() == f"{running.pk} succeeded 2\n"
    assert Work(running).row.callback_due_at is None


def test_a_callback_lost_with_its_caller_is_called_by_a_reaper(running, told, monkeypatch):
    with monkeypatch.context() as dying:
        dying.setattr(transitions, "call_ended", lambda task_id: None)
        finish(running, Outcome.SUCCEEDED)
    reaper.call_callbacks()
    assert not told.exists(), "its mover may be about to call it"
    Task.objects.update(callback_due_at=timezone.now())
    reaper.call_callbacks()
    reaper.call_callbacks()
    assert told.read_text() == f"{running.pk} succeeded 1\n"


def test_a_callback_that_fails_is_called_again_later(running, told):
    (told.parent / "callback-fails").touch()
    assert finish(running, Outcome.SUCCEEDED) == Status.SUCCEEDED
    due = Work(running).row.callback_due_at
    assert due > timezone.now() + timedelta(seconds=5)
    (told.parent / "callback-fails").unlink()
    Task.objects.update(callback_due_at=timezone.now())
    reaper.call_callbacks()
    assert told.read_text() == f"{running.pk} succeeded 1\n"


def test_a_lease_that_ran_out_sends_the_task_back(running):
    assert reaper.reap_expired() == 0
    Task.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=2))
    assert reaper.reap_expired() == 1
    assert reaper.reap_expired() == 0
    assert Work(running).row.status == Status.QUEUED
    assert Work(running).outcomes == [Outcome.LOST]
    assert "stopped renewing its lease" in Work(running).row.error


def test_an_attempt_whose_minder_died_is_lost_without_waiting_for_its_lease(running):
    assert reaper.reap_dead_minders() == 0, "we are its minder, and alive"
    Attempt.objects.update(minder="999999999.1")
    Attempt.objects.update(host="elsewhere")
    assert reaper.reap_dead_minders() == 0, "its process can't be seen from here"
    Attempt.objects.update(host=reaper.processes.place())
    assert reaper.reap_dead_minders() == 1
    assert Work(running).row.status == Status.QUEUED
