"""Status polls where there is a Redis: answered from it for two seconds, without it as ever."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import pytest
import redis

from tasks.live import kept
from tasks.live.kept import Standing
from tasks.models import Task
from tasks.tests.crew import until
from tasks.tests.work import new_task, running_task
from tests.redis import redis_server
from tests.web import web_process

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def web(transactional_db, server, tmp_path):
    with web_process(tmp_path, REDIS_URL=server) as running:
        yield running


def change_behind_their_backs(task: Task) -> None:
    Task.objects.filter(pk=task.pk).update(message="news", seq=task.seq + 1)


def test_it_works(web, server, team, owner, stranger):
    task = running_task(team).task
    path = f"/task/status/{task.pk}"
    with web.client(owner) as client, web.client(stranger) as other:
        first = client.get(path)
        assert first.json() == client.get(path + "?wait=0").json()
        change_behind_their_backs(task)
        again = client.get(path)
        assert (again.status_code, again.json()) == (200, first.json())
        same = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (same.status_code, same.content) == (304, b"")

        for _ in range(2):  # what is kept is kept for those who may see it
            assert other.get(path).status_code == 404
        until(lambda: client.get(path).json()["message"] == "news", 3)
        lives = redis.Redis.from_url(server).pttl(f"backdrop:status:{task.pk.hex}")
        assert 0 < lives <= 2000


def test_a_redis_that_is_slow_is_passed_over(web, server, team, owner):
    task = new_task(team, owner)
    path = f"/task/status/{task.pk}"
    with web.client(owner) as client:
        client.get(path)
        client.get(path)
        redis.Redis.from_url(server).execute_command("CLIENT", "PAUSE", "1500", "ALL")
        change_behind_their_backs(task)
        began = time.monotonic()
        assert client.get(path).json()["message"] == "news"
        assert client.get(path).json()["message"] == "news"
        assert time.monotonic() - began < 1.0


def test_a_redis_that_is_away_is_passed_over(transactional_db, tmp_path, team, owner):
    task = new_task(team, owner)
    path = f"/task/status/{task.pk}"
    with redis_server(tmp_path) as url:
        stack = web_process(tmp_path, REDIS_URL=url)
        running = stack.__enter__()
        client = running.client(owner)
        assert client.get(path).status_code == 200
    try:
        change_behind_their_backs(task)
        began = time.monotonic()
        assert client.get(path).json()["message"] == "news"
        assert time.monotonic() - began < 1.0
    finally:
        client.close()
        stack.__exit__(None, None, None)


def test_what_was_read_earlier_never_takes_the_place_of_what_was_read_later(server, settings):
    settings.REDIS_URL = server
    kept._client.cache_clear()
    pk = uuid4()

    def read(seq: int) -> Standing:
        return Standing(team=1, seq=seq, etag=f'"{seq}"', body=b"{}")

    async def race() -> list[Standing | None]:
        told = [await kept.get(pk)]
        for seq in (9, 10, 9):
            await kept.put(pk, read(seq))
            told.append(await kept.get(pk))
        await kept._client().aclose()
        await kept._client().connection_pool.disconnect()
        return told

    try:
        assert asyncio.run(race()) == [None, read(9), read(10), read(10)]
    finally:
        kept._client.cache_clear()
