"""The poller, in this process: what it asks, and when it asks nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from uuid import UUID

import pytest
from django.db import DatabaseError, connection

from tasks import transitions
from tasks.live import look, nudges, singles
from tasks.live.mailbox import BehindError, Change, Mailbox
from tasks.live.poller import Poller
from tasks.live.watches import TaskWatch, TeamsWatch
from tasks.places import Place
from tasks.tests.work import Running, new_task
from tests.redis import redis_server
from tests.web import web_process

pytestmark = pytest.mark.django_db(transaction=True)


def change_of(number: int, events: int = 0) -> Change:
    task_id = UUID(int=number)
    return Change(task_id=task_id, team_id=1, seq=1, task={}, events=[{"seq": 1}] * events)


def cancel(task) -> None:
    transitions.cancel(task, by=None)
    connection.close()  # this thread's own


async def test_it_works(task):
    poller, watch = Poller(), TaskWatch(task_id=task.pk, seen=task.seq, place=Place(1))
    with poller.watching(watch):
        await asyncio.to_thread(cancel, task)
        (change,) = await asyncio.wait_for(watch.mailbox.take(), 60)
    assert change.task["status"] == "cancelled"
    assert [event["seq"] for event in change.events] == [2]


@pytest.fixture
def task(team):
    return new_task(team)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


async def eventually(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_with_nobody_waiting_there_is_not_even_a_thread(task):
    poller = Poller()
    assert not poller.running
    with poller.watching(TaskWatch(task_id=task.pk, seen=0)):
        assert poller.running
        assert threads().count("live-poller") == 1
        with poller.watching(TeamsWatch(teams={task.team_id})):
            assert threads().count("live-poller") == 1
    await eventually(lambda: not poller.running and "live-poller" not in threads())
    with poller.watching(watch := TaskWatch(task_id=task.pk, seen=0)):
        assert await asyncio.wait_for(watch.mailbox.take(), 60)


async def test_sqlite_is_asked_for_tasks_only_after_a_commit(task, monkeypatch):
    asked = []

    def tell(*args, **options):
        asked.append(1)
        singles.tell_singles(*args, **options)

    monkeypatch.setattr(look, "tell_singles", tell)
    poller, watch = Poller(), TaskWatch(task_id=task.pk, seen=task.seq)
    with poller.watching(watch):
        await eventually(lambda: asked)
        before, begun = len(asked), time.monotonic()
        if connection.vendor == "sqlite":
            await asyncio.sleep(0.6)
            assert len(asked) == before
        else:
            await eventually(lambda: len(asked) >= before + 3)
            assert time.monotonic() - begun > 0.35, "five times a second"
        await asyncio.to_thread(cancel, task)
        assert await asyncio.wait_for(watch.mailbox.take(), 60)


async def test_a_fault_of_the_database_is_survived(task, monkeypatch):
    faults = [DatabaseError("gone"), DatabaseError("gone")]

    def tell(*args, **options):
        if faults:
            raise faults.pop()
        return singles.tell_singles(*args, **options)

    monkeypatch.setattr(look, "tell_singles", tell)
    monkeypatch.setattr("tasks.live.poller.TROUBLE_SECONDS", 0.01)
    one, all_of_them = TaskWatch(task_id=task.pk, seen=0), TeamsWatch(teams={task.team_id})
    poller = Poller()
    with poller.watching(one), poller.watching(all_of_them):
        assert await asyncio.wait_for(one.mailbox.take(), 60)
        with pytest.raises(BehindError):  # nobody knows what was missed: read the rows
            await asyncio.wait_for(all_of_them.mailbox.take(), 60)


async def test_a_mailbox_merges_what_is_not_taken():
    box = Mailbox()
    box.put(change_of(1, events=1))
    box.put(change_of(2))
    box.put(change_of(1, events=2))
    taken = await box.take()
    assert [change.task_id.int for change in taken] == [2, 1]
    assert len(taken[1].events) == 3


async def test_a_mailbox_that_overflows_says_so_once_and_goes_on():
    box = Mailbox()
    for number in range(1000):
        box.put(change_of(number))
    with pytest.raises(BehindError):
        await box.take()
    box.put(change_of(5))
    assert len(await box.take()) == 1


@pytest.fixture
def trusting(monkeypatch):
    """Redis has not failed lately, and doesn't seem to afterwards."""
    monkeypatch.setattr(nudges, "_silent_until", 0.0)
    nudges._client.cache_clear()
    yield
    nudges._client.cache_clear()


@pytest.mark.usefixtures("trusting")
def test_a_nudge_spares_the_wait(team, owner, settings, tmp_path):
    """With a poller that looks each half minute only; who moves a task sends the nudge."""
    task = new_task(team)
    with redis_server(tmp_path) as address:
        settings.REDIS_URL = address
        with (
            web_process(tmp_path, REDIS_URL=address, TEST_POLL_SECONDS="30") as web,
            web.listen("/ws/tasks", owner) as every,
            web.listen(f"/ws/tasks/{task.pk}", owner) as one,
        ):
            assert every.next()["type"] == one.next()["type"] == "snapshot"
            deadline = time.monotonic() + 60
            while not nudges._client().pubsub_numsub(nudges.CHANNEL)[0][1]:
                assert time.monotonic() < deadline, "nobody listens to Redis"
                time.sleep(0.05)
            run = Running(task)
            one.until_status("running")
            run.report(42)
            one.until(lambda m: m["task"]["progress"]["done"] == 42)
            run.end()
            every.until_status("succeeded")
            other = new_task(team)
            every.until(lambda m: m["task"]["id"] == str(other.pk))


@pytest.mark.usefixtures("trusting")
@pytest.mark.alone
def test_a_redis_that_has_gone_fails_nobody(team, settings, caplog):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    begun = time.monotonic()
    for _ in range(5):
        new_task(team)
    assert time.monotonic() - begun < 2
    assert caplog.text.count("Redis can't be told") == 1
