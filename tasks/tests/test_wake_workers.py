"""Whoever makes a task due wakes the pushers that wait for it; who can't hear looks more often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tasks import queue, transitions, wakes
from tasks.broker import TokenBroker
from tasks.live import nudges
from tasks.models import Task
from tasks.states import Outcome
from tasks.tests.crew import until
from tasks.tests.work import JOB, running_task
from tests.redis import redis_server

pytestmark = pytest.mark.django_db(transaction=True)


def push(team, **options) -> Task:
    return queue.push(job=JOB.name, team=team, **options)


@pytest.fixture
def broker() -> Iterator[TokenBroker]:
    """One that has looked, and listens."""
    with closing(TokenBroker("tests", queues=["default"], name="me")) as broker:
        broker.dequeue()
        yield broker


def wakes_for(broker: TokenBroker, act: Callable[[], object], *, after: float = 0.3) -> float:
    """Seconds from the act, done by another thread, to the token it brings."""
    done: list[float] = []

    def acting() -> None:
        time.sleep(after)
        done.append(time.monotonic())
        act()
        connection.close()

    thread = threading.Thread(target=acting)
    thread.start()
    deadline = time.monotonic() + 10
    while not broker.dequeue():
        assert time.monotonic() < deadline, "no token"
    heard = time.monotonic()
    thread.join()
    return heard - done[0]


def best(broker: TokenBroker, begin: Callable[[], Callable[[], object]]) -> float:
    """The least of three, as the machine may have been at something else; `begin` gives the act."""
    taken = []
    for _ in range(3):
        Task.objects.all().delete()
        taken.append(wakes_for(broker, begin()))
    return min(taken)


def test_it_works(broker, team):
    assert best(broker, lambda: lambda: push(team)) < 0.2


def test_what_is_put_back_wakes_too(broker, team):
    def interrupted() -> Callable[[], object]:
        run = running_task(team)
        return lambda: run.end(Outcome.INTERRUPTED)

    def failed() -> Callable[[], object]:
        run = running_task(team)
        run.end(Outcome.FAILED, permanent=True)
        return lambda: transitions.retry(run.task, by=None)

    assert best(broker, interrupted) < 0.2
    assert best(broker, failed) < 0.2


def test_a_moment_that_comes_is_met_though_nobody_wakes(broker, team):
    def soon() -> None:
        push(team, run_at=timezone.now() + timedelta(seconds=0.7))

    seconds = wakes_for(broker, soon)
    assert 0.69 < seconds < 1.0 + (wakes.QUICK_SECONDS if connection.vendor == "sqlite" else 0)


def statements(act: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as asked:
        act()
    return [query["sql"] for query in asked if "pg_notify" in query["sql"]]


def notifies(number: int) -> int:
    """What is to be seen where: SQLite is never told."""
    return number if connection.vendor == "postgresql" else 0


def test_a_transaction_wakes_once_however_much_it_makes_due(team):
    def many() -> None:
        with transaction.atomic():
            for _ in range(5):
                push(team)

    assert len(statements(many)) == notifies(1)
    assert len(statements(many)) == notifies(1), "the next one wakes again"


def test_a_wake_that_was_rolled_back_is_sent_by_what_follows(team):
    def half() -> None:
        with transaction.atomic():
            try:
                with transaction.atomic():
                    push(team)
                    raise KeyError
            except KeyError:
                push(team)

    assert len(statements(half)) == notifies(1)


def test_what_is_due_much_later_wakes_nobody(team):
    assert not statements(lambda: push(team, run_at=timezone.now() + timedelta(minutes=5)))


def test_a_claim_wakes_nobody(team):
    push(team)
    assert not statements(lambda: queue.claim(["default"], "me"))


# An ear that is deaf ----------------------------------------------------------------------------


@contextmanager
def listening() -> Iterator[wakes.Line]:
    with closing(wakes.PostgresEar()) as ear:
        ear.wait(5)
        assert ear.hears
        yield ear


def needs_postgres() -> bool:
    """Whether the rest of a test says anything here; only PostgreSQL has such sessions."""
    return connection.vendor == "postgresql"


def nap(ear: wakes.Ear) -> float:
    begun = time.monotonic()
    ear.wait(60)
    return time.monotonic() - begun


def test_an_ear_that_hears_sleeps_long_and_one_that_is_deaf_shortly(caplog):
    if not needs_postgres():
        assert nap(wakes.new_ear()) < 0.5
        return
    with listening() as ear:
        assert nap(ear) > 1.5
        # As behind a proxy that lends its sessions by the transaction: ours hears nothing.
        with ear._session.cursor() as cursor:
            cursor.execute("UNLISTEN *")
        assert nap(ear) > 1.5, "nobody knows yet"
        ear.found()
        assert not ear.hears
        assert nap(ear) < 0.5
        assert "doesn't arrive" in caplog.text
        time.sleep(1.1)
        ear.wait(5)
        assert ear.hears, "it tries again"


def test_nobody_is_suspicious_of_what_came_by_itself():
    if needs_postgres():
        with listening() as ear, CaptureQueriesContext(connection) as asked:
            ear.wait(0.1)
            ear.found()
            assert not len(asked)


def test_a_session_that_was_ended_is_replaced(caplog):
    if needs_postgres():
        with listening() as ear:
            pid = ear._session.connection.info.backend_pid
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 1000)", [pid])
            until(lambda: nap(ear) < 0.5 and not ear.hears, 3)
            assert "can't be heard" in caplog.text
            time.sleep(1.1)
            ear.wait(5)
            assert ear.hears


# By Redis ---------------------------------------------------------------------------------------


@pytest.fixture
def redis(settings, tmp_path, monkeypatch) -> Iterator[str]:
    monkeypatch.setattr(nudges, "_silent_until", 0.0)
    nudges._client.cache_clear()
    with redis_server(tmp_path) as address:
        settings.REDIS_URL = address
        yield address
    nudges._client().close()
    nudges._client.cache_clear()


def test_redis_wakes_on_any_database_and_spares_it_the_notifying(redis, team, monkeypatch):
    monkeypatch.setattr("tasks.broker.POLL_SQLITE", 5.0)
    with closing(TokenBroker("tests", queues=["default"], name="me")) as broker:
        broker.dequeue()
        assert best(broker, lambda: lambda: push(team)) < 0.2
        assert not statements(lambda: push(team))


def test_a_redis_that_went_away_makes_the_ear_deaf_and_fails_nobody(settings, tmp_path):
    with redis_server(tmp_path) as address:
        settings.REDIS_URL = address
        ear = wakes.RedisEar()
        ear.wait(5)
        assert ear.hears
    nap(ear)
    assert not ear.hears
    assert nap(ear) < 0.5
    ear.close()
