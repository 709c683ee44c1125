"""What a task costs in statements, pinned so that it can't grow unseen, and that the short way to
write something writes what the long way does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tasks import clock, minder, processes, queue, registry, sharing, strokes, transitions
from tasks.lease import Lease
from tasks.models import Attempt, Event, Tally, Task, Turn
from tasks.registry import Job
from tasks.retries import Backoff
from tasks.states import Outcome, Status
from tasks.tests.work import Running, new_task

ON_SERVER = {"push": 2, "claim": 1, "renew": 1, "succeed": 1}
ON_SQLITE = {"push": 4, "claim": 6, "renew": 1, "succeed": 6}
told: list[str] = []

registry.register(Job(name="statements", run=lambda context: {"a": [1]}, title="S", isolated=False))
registry.register(
    Job(
        name="calls-back",
        run=lambda context: None,
        title="C",
        isolated=False,
        ended=lambda task: told.append(task.status),
    )
)


class Count(CaptureQueriesContext):
    """How many statements there were, those that begin and end a transaction among them."""

    def __init__(self) -> None:
        super().__init__(connection)


@pytest.fixture
def limits(transactional_db):
    return ON_SQLITE if connection.vendor == "sqlite" else ON_SERVER


def test_it_works(team, limits):
    counted = {}
    with Count() as counted["push"]:
        queue.push(job="statements", team=team)
    with Count() as counted["claim"]:
        task = queue.claim(["default"], "tests")
    lease = Lease(task, processes.now())
    with Count() as counted["renew"]:
        lease.renew()
    with Count() as counted["succeed"]:
        transitions.succeed(task, None)
    assert {what: len(count) for what, count in counted.items()} == limits


def test_a_whole_task_costs_what_its_claim_and_its_end_cost(team, limits):
    task = queue.push(job="statements", team=team)
    with Count() as count:
        claimed = queue.claim(["default"], "tests")
        status = minder.mind(claimed, since=processes.now())
    sharing.end_kept()
    assert status == Status.SUCCEEDED
    assert len(count) == limits["claim"] + limits["succeed"]
    task.refresh_from_db()
    assert task.result == {"a": [1]}


def history_of(task: Task) -> dict:
    """All that is written of it, but for ids and times, which are told as set or not."""
    rows = [Task.objects.filter(pk=task.pk), Attempt.objects.filter(task=task)]
    rows += [Event.objects.filter(task=task).order_by("seq"), Turn.objects.filter(task=task)]
    rows += [Tally.objects.all()]
    hidden = {"id", "task_id", "seconds"}
    return {
        rows_of_one.model.__name__: [
            {
                name: bool(value) if name.endswith("_at") or name == "at" else value
                for name, value in row.items()
                if name not in hidden
            }
            for row in rows_of_one.values()
        ]
        for rows_of_one in rows
    }


def lives(team, **options) -> tuple[dict, dict]:
    """What is written of a task that is claimed, and of one that succeeds."""
    Task.objects.all().delete()
    Tally.objects.all().delete()
    task = queue.push(job="statements", team=team)
    assert not task._state.adding
    assert (task.run_at, task.expires_at) == Task.objects.values_list("run_at", "expires_at").get()
    claimed = queue.claim(["default"], "tests")
    assert claimed.pk == task.pk
    assert claimed.args == task.args
    assert (claimed.attempt, claimed.tries, claimed.seq) == (1, 1, 2)
    assert (claimed.seconds_left is None) == (task.expires_at is None)
    running = history_of(task)
    # So that both fall into the same span of the tally, however long this took.
    Task.objects.filter(pk=task.pk).update(started_at=clock.now(-600))
    assert transitions.succeed(claimed, {"x": "\"'%s\\ ü"}) == Status.SUCCEEDED
    return running, history_of(task)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"args": {"a": [None, "%s \"'\\"]}, "subject": "7", "deadline_seconds": 5},
        {"total_seconds": 60},
        {"total_seconds": 999_999_999, "run_at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"expires_at": datetime(2100, 1, 1, tzinfo=UTC)},
        {"concurrency_key": "k", "concurrency_limit": 3, "when_busy": "skip", "priority": -2},
        {"backoff": Backoff(), "idempotency_key": "i", "title": "'); --", "stall_seconds": 3},
    ],
)
def test_the_short_way_writes_what_the_long_way_does(team, limits, monkeypatch, options):
    short = lives(team, **options)
    assert [bool(row["le"]) for row in short[1]["Tally"]] == [True]
    monkeypatch.setattr(strokes, "can", lambda: False)
    assert lives(team, **options) == short


def test_a_success_is_refused_to_whoever_lost_the_task(team, limits):
    run = Running(new_task(team))
    transitions.finish(run.task.pk, 1, Outcome.LOST, error="taken away")
    Task.objects.update(run_at=timezone.now() - timedelta(seconds=1))
    again = queue.claim(["default"], "others")
    assert again.attempt == 2
    before = history_of(run.task)
    assert transitions.succeed(run.task, None) is None
    assert history_of(run.task) == before
    assert transitions.succeed(again, None) == Status.SUCCEEDED
    assert transitions.succeed(again, None) is None


def test_what_was_left_open_is_undone_after_a_success_too(team, limits):
    run = Running(new_task(team))
    run.lease.opened.append({"kind": "file"})
    run.lease.write_opened()
    transitions.succeed(run.task, None)
    assert Attempt.objects.get().undo_due_at is not None


def test_the_callback_is_called_once_it_is_written(team, limits):
    told.clear()
    queue.push(job="calls-back", team=team)
    assert transitions.succeed(queue.claim(["default"], "tests"), None) == Status.SUCCEEDED
    assert told == [Status.SUCCEEDED]
    assert Task.objects.get().callback_due_at is None


def test_only_what_is_due_is_claimed(team, limits):
    new_task(team, run_at=timezone.now() + timedelta(minutes=1))
    late = new_task(team, total_seconds=60)
    Task.objects.filter(pk=late.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    new_task(team, queue="other")
    assert queue.claim(["default"], "tests") is None
    urgent = new_task(team, priority=1)
    new_task(team)
    assert queue.claim(["default"], "tests").pk == urgent.pk
