"""The broker wakes about one worker for each due task, and survives its database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tasks import queue
from tasks.broker import SignedPackage, TokenBroker
from tasks.models import Task
from tasks.tests import toys as toy_jobs
from tasks.tests.crew import until

pytestmark = pytest.mark.django_db(transaction=True)

assert toy_jobs


@pytest.fixture
def broker() -> Iterator[TokenBroker]:
    broker = TokenBroker("tests", queues=["default"], name="me")
    yield broker
    broker.close()


def push(team, **options) -> Task:
    return queue.push(job="toy-nothing", team=team, **options)


def tokens(broker: TokenBroker, looks: int) -> int:
    return sum(len(broker.dequeue() or []) for _ in range(looks))


def test_it_works(broker, team):
    assert broker.dequeue() is None
    push(team)
    ((acknowledge, package),) = until(broker.dequeue)
    token = SignedPackage.loads(package)
    assert token["func"] == "tasks.worker.work"
    assert token["args"] == (["default"], "me")
    assert (acknowledge, token["timeout"]) == ("", -1)


def test_a_task_wakes_one_worker_and_another_where_that_one_never_claimed(broker, team):
    push(team)
    assert tokens(broker, 2) == 1
    time.sleep(0.6)
    assert tokens(broker, 2) == 1


def test_each_due_task_wakes_a_worker(broker, team):
    for _ in range(4):
        push(team)
    assert tokens(broker, 5) == 4


def test_what_is_not_due_or_another_queues_wakes_nobody(broker, team):
    push(team, queue="other")
    push(team, run_at=timezone.now() + timedelta(seconds=0.4))
    assert tokens(broker, 1) == 0
    time.sleep(0.5)
    assert tokens(broker, 2) == 1


def test_a_database_that_is_away_costs_a_moment_and_not_the_pusher(broker, team, monkeypatch):
    push(team)

    def away(queues):
        raise OperationalError("away")

    with monkeypatch.context() as broken:
        broken.setattr(queue, "due", away)
        begun = time.monotonic()
        assert tokens(broker, 2) == 0
        assert 0.1 < time.monotonic() - begun < 3
    assert tokens(broker, 1) == 1


def test_looking_while_nothing_happens_is_cheap(broker):
    broker.dequeue()
    broker.dequeue()  # the first sleep opens the ear and is none
    with CaptureQueriesContext(connection) as asked:
        broker.dequeue()
    (query,) = asked
    assert ("data_version" if connection.vendor == "sqlite" else "SELECT") in query["sql"]


def test_a_pool_of_no_workers_is_refused():
    with pytest.raises(CommandError, match="at least 1"):
        call_command("runworkers", "--workers", "0")
