"""`queue.push` and `queue.claim`."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from tasks import queue
from tasks.errors import IdempotencyConflictError, UnknownJobError
from tasks.forks import Fork
from tasks.models import Attempt, Event, Task
from tasks.states import Status
from tasks.tests import toys as toy_jobs

pytestmark = pytest.mark.django_db

assert toy_jobs


def push(team, **options) -> Task:
    return queue.push(job="toy-nothing", team=team, **options)


def test_it_works(team, owner):
    task = push(team, owner=owner, args={"x": 1})
    assert (task.status, task.title, task.fresh) == (Status.QUEUED, "Toy: nothing", True)
    event = Event.objects.get(task=task)
    assert (event.seq, event.message) == (task.seq, "Asked for by owner")
    claimed = queue.claim(["default"], "me")
    assert claimed == task
    task.refresh_from_db()
    assert (task.status, task.attempt, task.tries, task.worker) == (Status.RUNNING, 1, 1, "me")
    assert task.lease_expires_at > timezone.now()
    assert Attempt.objects.get(task=task).number == 1
    assert queue.claim(["default"], "me") is None


def test_an_unknown_job_is_refused_with_the_known_names(team):
    with pytest.raises(UnknownJobError, match=r"'toy-nonesuch'.*toy-nothing"):
        queue.push(job="toy-nonesuch", team=team)
    assert not Task.objects.exists()


def test_it_is_gone_with_the_callers_transaction(team):
    with transaction.atomic():
        push(team)
        transaction.set_rollback(True)
    assert not Task.objects.exists()


def test_limits_left_out_are_the_jobs(team):
    assert push(team).max_attempts == 3
    asked = push(team, max_attempts=1, deadline_seconds=5, stall_seconds=6)
    assert (asked.max_attempts, asked.deadline_seconds, asked.stall_seconds) == (1, 5, 6)


@pytest.mark.parametrize("owned", [True, False])
def test_the_same_key_and_request_give_the_same_task(team, owner, owned):
    by = owner if owned else None
    first = push(team, owner=by, idempotency_key="k", args={"a": 1})
    again = push(team, owner=by, idempotency_key="k", args={"a": 1})
    assert (again.pk, again.fresh, first.fresh) == (first.pk, False, True)
    with pytest.raises(IdempotencyConflictError, match=str(first.pk)):
        push(team, owner=by, idempotency_key="k", args={"a": 2})
    assert Task.objects.count() == 1


def test_a_key_is_the_owners_own(team, owner, mate):
    assert push(team, owner=owner, idempotency_key="k") != push(
        team, owner=mate, idempotency_key="k"
    )
    assert push(team, owner=owner) != push(team, owner=owner)


def test_a_callers_digest_tells_requests_apart(team):
    push(team, idempotency_key="k", request_digest="one")
    with pytest.raises(IdempotencyConflictError):
        push(team, idempotency_key="k", request_digest="two")


@pytest.mark.django_db(transaction=True)
def test_pushed_twice_at_once_it_is_one_task(team, owner):
    together = threading.Barrier(4)
    made = []

    def ask() -> None:
        together.wait()
        made.append(push(team, owner=owner, idempotency_key="k").pk)
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == Task.objects.count() == 1


def test_priority_comes_before_time(team):
    early = push(team, run_at=timezone.now() - timedelta(hours=1))
    urgent = push(team, priority=5)
    minor = push(team, priority=-5, run_at=timezone.now() - timedelta(hours=2))
    late = push(team)
    assert [queue.position(task) for task in (urgent, early, late, minor)] == [1, 2, 3, 4]
    assert [queue.claim(["default"], "me") for _ in range(4)] == [urgent, early, late, minor]


def test_what_is_not_due_and_other_queues_are_left_alone(team):
    push(team, run_at=timezone.now() + timedelta(seconds=30))
    push(team, queue="other")
    assert queue.claim(["default"], "me") is None
    assert queue.claim(["default", "other"], "me").queue == "other"


@pytest.mark.django_db(transaction=True)
def test_no_task_is_claimed_twice_by_many_processes(team, tmp_path):
    tasks = {str(push(team).pk) for _ in range(60)}

    def claim_all() -> None:
        with (tmp_path / f"{os.getpid()}").open("w") as file:
            while task := queue.claim(["default"], f"worker {os.getpid()}"):
                file.write(f"{task.pk}\n")
        connections.close_all()
        os._exit(0)

    forks = [Fork(claim_all) for _ in range(4)]
    assert all(fork.wait(60) and fork.status == 0 for fork in forks)
    claimed = [line for path in tmp_path.iterdir() for line in path.read_text().split()]
    assert sorted(claimed) == sorted(tasks)
    assert Attempt.objects.filter(number=1).count() == 60
    assert Task.objects.filter(status=Status.RUNNING, attempt=1).count() == 60


def test_finding_nothing_due_costs_one_query(team, django_assert_max_num_queries):
    push(team, run_at=timezone.now() + timedelta(seconds=30))
    # PostgreSQL's row lock needs a transaction around it, here a savepoint of the test's.
    with django_assert_max_num_queries(1 if connection.vendor == "sqlite" else 3):
        assert queue.claim(["default"], "me") is None


@pytest.mark.django_db(transaction=True)
def test_of_two_requests_under_one_key_one_wins_and_the_other_is_refused(team, owner, tmp_path):
    """By processes, each in a transaction of its own that has more to write."""

    def ask(number: int) -> None:
        try:
            with transaction.atomic():
                task = push(team, owner=owner, idempotency_key="k", args={"number": number % 2})
                push(team, owner=owner, title="beside")
            said = str(task.pk)
        except IdempotencyConflictError:
            said = "refused"
        (tmp_path / f"{number}").write_text(said)
        connections.close_all()
        os._exit(0)

    connections.close_all()
    forks = [Fork(lambda number=number: ask(number)) for number in range(6)]
    assert all(fork.wait(60) and fork.status == 0 for fork in forks)
    winner = Task.objects.get(idempotency_key="k")
    said = [(tmp_path / f"{number}").read_text() for number in range(6)]
    like = winner.args["number"]
    assert said == [str(winner.pk) if number % 2 == like else "refused" for number in range(6)]
    assert Task.objects.filter(title="beside").count() == 3, "who was refused has written nothing"


@pytest.mark.django_db(transaction=True)
def test_a_key_whose_first_user_took_it_back_is_free(team, owner):
    begun, give_up = threading.Event(), threading.Event()

    def ask_and_take_back() -> None:
        with transaction.atomic():
            push(team, owner=owner, idempotency_key="k", args={"number": 1})
            begun.set()
            give_up.wait(60)
            transaction.set_rollback(True)
        connections.close_all()

    first = threading.Thread(target=ask_and_take_back)
    first.start()
    assert begun.wait(60)
    threading.Timer(0.3, give_up.set).start()
    task = push(team, owner=owner, idempotency_key="k", args={"number": 2})
    first.join()
    assert (task.fresh, Task.objects.get().args) == (True, {"number": 2})
