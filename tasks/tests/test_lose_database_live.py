"""Sockets while the database is away; its faults are made here, since they must come on cue."""

from __future__ import annotations

import asyncio

import pytest
from django.db import OperationalError

from accounts.models import User
from tasks.live import database, socket
from tasks.live.access import Visitor
from tasks.live.socket import Socket


class Quiet(Socket):
    """Has nothing to tell."""

    async def stream(self) -> None:
        await asyncio.sleep(60)

    async def check(self) -> None:
        pass


class Client:
    """The other end of a socket: what it was sent, and when it goes."""

    def __init__(self) -> None:
        self.sent: list[dict] = []
        self.gone = asyncio.Event()
        self._connected = False

    async def receive(self) -> dict:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        await self.gone.wait()
        return {"type": "websocket.disconnect", "code": 1001}

    async def send(self, message) -> None:
        self.sent.append(message)


@pytest.fixture
def answers(monkeypatch, settings):
    """What the database says when asked who is there, one after another; the last one stays."""
    settings.LIVE_RECHECK_SECONDS = 0.01
    queue: list = []

    def identify(scope):
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(socket, "identify", identify)
    return queue


AWAY = OperationalError("the server closed the connection")


async def test_it_works(answers, viewer_row):
    answers[:] = [viewer_row, None]
    client = Client()
    await asyncio.wait_for(Quiet.serve({}, client.receive, client.send), 60)
    assert [m["type"] for m in client.sent] == ["websocket.accept", "websocket.close"]
    assert client.sent[-1]["code"] == 4401


@pytest.fixture
def viewer_row() -> Visitor:
    return Visitor(user=User(username="viewer"))


async def test_who_comes_while_it_is_away_is_told_to_try_later(answers):
    answers[:] = [AWAY]
    client = Client()
    await asyncio.wait_for(Quiet.serve({}, client.receive, client.send), 60)
    assert client.sent[-1]["code"] == 1013


async def test_who_is_there_stays_until_it_can_be_asked_again(answers, viewer_row):
    answers[:] = [viewer_row, *[AWAY] * 12, viewer_row]
    client = Client()
    serving = asyncio.ensure_future(Quiet.serve({}, client.receive, client.send))
    async with asyncio.timeout(60):
        while len(answers) > 1:
            await asyncio.sleep(0.01)
    assert [m["type"] for m in client.sent] == ["websocket.accept"]
    client.gone.set()
    await asyncio.wait_for(serving, 60)


async def test_a_dead_connection_is_replaced_by_a_new_one():
    calls = []

    def ask() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise AWAY
        return 42

    assert await database.ask(ask) == 42
