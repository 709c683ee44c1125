"""The next task is claimed in the commit that ends the one before, and never without it."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from tasks import minder, queue, registry, sharing, strokes, transitions, worker
from tasks.models import Task
from tasks.registry import Job
from tasks.states import Outcome, Status
from tasks.worker import Claims

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = registry.register(
    Job(name="along", run=lambda context: None, title="Along", isolated=False)
)
TOLD = registry.register(
    Job(name="along-told", run=lambda context: None, title="T", ended=lambda task: None)
)


@pytest.fixture(autouse=True)
def no_process_left():
    yield
    sharing.end_kept()


def push(team, *names: str, **options) -> list[Task]:
    return [queue.push(job=name, team=team, **options) for name in names]


def states(tasks: list[Task]) -> list[str]:
    rows = {task.pk: task.status for task in Task.objects.all()}
    return [rows[task.pk] for task in tasks]


def begun(team) -> tuple[Claims, Task]:
    """A worker's claims, and the task that it has."""
    claims = Claims(["default"], "tests", None)
    task = claims.first()
    assert task is not None
    return claims, task


def test_it_works(team):
    tasks = push(team, *["along"] * 5)
    with CaptureQueriesContext(connection) as asked:
        worker.work(["default"], "tests")
    assert states(tasks) == [Status.SUCCEEDED] * 5
    commits = [query["sql"] for query in asked if query["sql"].startswith(("COMMIT", "BEGIN"))]
    if connection.vendor == "sqlite":
        assert len([sql for sql in commits if sql == "COMMIT"]) <= 6
    for task in Task.objects.all():
        messages = [event.message for event in task.events.order_by("seq")]
        assert messages[1:] == ["Started by tests", "Attempt 1: Succeeded"]


def test_what_is_claimed_along_is_taken_once(team):
    one, two = push(team, "along", "along")
    claims, task = begun(team)
    assert transitions.succeed(task, None, along=claims) == Status.SUCCEEDED
    assert states([one, two]) == [Status.SUCCEEDED, Status.RUNNING]
    assert claims.taken().pk == two.pk
    assert claims.taken() is None


def test_nothing_is_claimed_where_the_end_was_lost(team):
    one, two = push(team, "along", "along")
    claims, task = begun(team)
    transitions.finish(task.pk, task.attempt, Outcome.LOST)
    assert transitions.succeed(task, None, along=claims) is None
    assert claims.taken() is None
    assert states([two]) == [Status.QUEUED]
    assert one.pk == task.pk


@pytest.mark.parametrize("fault", [DatabaseError, OperationalError])
def test_a_claim_that_fails_spoils_no_end(team, monkeypatch, fault):
    tasks = push(team, "along", "along")
    claims, task = begun(team)
    real = strokes.succeed_and_take
    faults = [fault("not now")]

    def faulty(*args):
        with transaction.atomic():
            found = real(*args)
            if faults:
                raise faults.pop()
        return found

    monkeypatch.setattr(strokes, "succeed_and_take", faulty)
    if fault is OperationalError:  # the minder tries again on a new connection
        with pytest.raises(OperationalError):
            transitions.succeed(task, None, along=claims)
        assert states(tasks) == [Status.RUNNING, Status.QUEUED]
        claims.forget()
    assert transitions.succeed(task, None, along=None) in (Status.SUCCEEDED, None)
    assert states(tasks) == [Status.SUCCEEDED, Status.QUEUED]
    assert claims.taken() is None


def test_a_job_whose_end_is_told_lets_nothing_come_along(team):
    """What it does may take its time, and a lease would run meanwhile."""
    tasks = push(team, "along-told", "along")
    claims, task = begun(team)
    assert transitions.succeed(task, None, along=claims) == Status.SUCCEEDED
    assert states(tasks) == [Status.SUCCEEDED, Status.QUEUED]


def test_a_task_that_takes_turns_is_left_to_the_next_claim(team):
    tasks = push(team, "along") + push(team, "along", concurrency_key="k")
    claims, task = begun(team)
    transitions.succeed(task, None, along=claims)
    assert claims.taken() is None
    assert states(tasks) == [Status.SUCCEEDED, Status.QUEUED]
    worker.work(["default"], "tests")
    assert states(tasks) == [Status.SUCCEEDED] * 2


def test_what_will_not_be_minded_goes_back(team, monkeypatch):
    tasks = push(team, "along", "along")
    mind = minder.mind
    monkeypatch.setattr(minder, "mind", lambda task, **options: _break(mind(task, **options)))
    worker.work(["default"], "tests")
    assert states(tasks) == [Status.SUCCEEDED, Status.QUEUED]
    assert Task.objects.get(pk=tasks[1].pk).tries == 0


def _break(_):
    raise RuntimeError("beside the job")


def test_the_pool_gets_its_say_after_so_many(team, monkeypatch):
    monkeypatch.setattr(worker, "AT_ONCE", 2)
    monkeypatch.setattr(worker, "ALONG", 1)
    tasks = push(team, *["along"] * 6)
    worker.work(["default"], "tests")
    assert states(tasks).count(Status.SUCCEEDED) == 4
    assert Task.objects.filter(status=Status.RUNNING).count() == 0
