"""What a database's answer that is lost, late or strange does to a worker: no task is lost with it,
none counts a try that never was, and no worker turns in circles."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import OperationalError, ProgrammingError, connection

from tasks import ends, minder, processes, queue, registry, sharing, transitions, worker
from tasks.ends import End
from tasks.lease import Hold, Lease
from tasks.models import Attempt, Event, Task
from tasks.registry import Job
from tasks.states import Outcome, Status

pytestmark = pytest.mark.django_db(transaction=True)

JOB = registry.register(Job(name="answers", run=lambda context: None, title="A", isolated=False))


@pytest.fixture(autouse=True)
def no_process_left():
    yield
    sharing.end_kept()


@pytest.fixture
def task(team) -> Task:
    return queue.push(job=JOB.name, team=team, max_attempts=1)


def claimed(task: Task) -> Task:
    found = queue.claim(["default"], "tests")
    assert found.pk == task.pk
    return found


def once(real, error, *, after: bool):
    """The first call fails, having done its work or not."""
    failed = []

    def call(*args, **kwargs):
        if failed:
            return real(*args, **kwargs)
        failed.append(True)
        if after:
            real(*args, **kwargs)
        raise error

    return call


def test_it_works(task, monkeypatch):
    """The claim has come through, its answer hasn't: it is no try, and the task is done."""
    claim = once(queue.claim, OperationalError("the line broke"), after=True)
    monkeypatch.setattr(queue, "claim", claim)
    worker.work(["default"], "tests")
    task.refresh_from_db()
    assert (task.status, task.tries) == (Status.QUEUED, 0)
    assert [attempt.outcome for attempt in Attempt.objects.all()] == [Outcome.INTERRUPTED]
    worker.work(["default"], "tests")
    task.refresh_from_db()
    assert (task.status, task.tries) == (Status.SUCCEEDED, 1)


def test_one_claimed_along_whose_answer_is_lost_is_put_back_at_once(team, task, monkeypatch):
    """The commit that ends the first and claims the second is done, but nobody is told."""
    second = queue.push(job=JOB.name, team=team, max_attempts=1)
    real = transitions._succeed_plainly

    def succeed(*args):
        done = real(*args)
        monkeypatch.setattr(transitions, "_succeed_plainly", real)
        assert done
        raise OperationalError("the line broke")

    monkeypatch.setattr(transitions, "_succeed_plainly", succeed)
    worker.work(["default"], "tests")
    task.refresh_from_db()
    second.refresh_from_db()
    assert (task.status, second.status) == (Status.SUCCEEDED, Status.SUCCEEDED)
    assert second.tries == 1
    assert Outcome.INTERRUPTED in {each.outcome for each in second.attempts.all()}


def test_what_can_not_be_given_back_is_left_to_a_reaper(task, monkeypatch, settings):
    settings.LEASE_SECONDS = 0.6
    claimed(task)

    def refuse(*args, **kwargs):
        raise OperationalError("away")

    monkeypatch.setattr(transitions, "finish", refuse)
    begun = processes.now()
    worker.give_back_own()
    assert processes.now() - begun < 10
    task.refresh_from_db()
    assert task.status == Status.RUNNING


def test_an_end_that_is_refused_again_and_again_ends_the_try_to_write_it(task, monkeypatch):
    """As by a worker of a release whose columns are gone."""
    calls = []

    def refuse(*args, **kwargs):
        calls.append(args)
        raise ProgrammingError("no such column")

    monkeypatch.setattr(transitions, "succeed", refuse)
    monkeypatch.setattr(transitions, "finish", refuse)
    row = claimed(task)
    assert ends.write(row, Lease(row, processes.now()), End(Outcome.SUCCEEDED)) is None
    assert len(calls) == 2


def test_last_words_are_written_once_the_database_is_there_again(task, monkeypatch):
    row = claimed(task)
    lease = Lease(row, processes.now())
    lease.note_line("the last words", "info")
    away = once(lease._write, OperationalError("away"), after=False)
    monkeypatch.setattr(lease, "_write", away)
    assert ends.write(row, lease, End(Outcome.SUCCEEDED)) == Status.SUCCEEDED
    assert Event.objects.filter(task=task, message="the last words").exists()


def test_what_was_lost_to_others_stays_theirs(task, monkeypatch):
    row = claimed(task)
    lease = Lease(row, processes.now())
    lease.note(message="too late")
    monkeypatch.setattr(lease, "renew", lambda: Hold.LOST)
    assert ends.write(row, lease, End(Outcome.SUCCEEDED)) is None
    task.refresh_from_db()
    assert task.status == Status.RUNNING
    connection.close()


def test_a_claim_that_took_longer_than_its_lease_begins_no_attempt(team, monkeypatch):
    """And ends no worker: the kernel's timer for that lease would go off at once."""
    mine = claimed(queue.push(job=JOB.name, team=team))
    monkeypatch.setattr(minder.Minder, "_start", lambda self, theirs: pytest.fail("it was begun"))
    since = processes.now() - settings.LEASE_SECONDS - 1
    assert minder.mind(mine, since=since) == Status.QUEUED
    assert Attempt.objects.get().outcome == Outcome.LOST
    assert Task.objects.get().crashes == 0
