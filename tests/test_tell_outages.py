"""A database that is away or full is told as just that, at every door, and is no fault of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg.errors
import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from accounts.models import Team
from accounts.outages import AWAY, FULL, outage
from tasks.uploads import capability, door
from tests.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)
ON_SQLITE = connection.vendor == "sqlite"


@contextmanager
def away() -> Iterator[None]:
    """As when the server was stopped, or the file moved: nothing can be opened there."""
    known = connection.settings_dict.copy()
    connection.close()
    if ON_SQLITE:
        connection.settings_dict["NAME"] = "/nowhere/at/all"
    else:
        connection.settings_dict |= {"HOST": "127.0.0.1", "PORT": free_port()}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(known)


@contextmanager
def full() -> Iterator[None]:
    """SQLite believes its disk to be full where it may have no more pages."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1")
    try:
        yield
    finally:
        connection.close()


def error_of(work) -> Exception:
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        work()
    return caught.value


def fill() -> None:
    Team.objects.bulk_create(Team(name=f"{number:0100}") for number in range(10_000))


def test_a_database_that_can_not_be_opened_is_away():
    with away():
        assert outage(error_of(Team.objects.count)) == AWAY


def test_one_that_has_no_room_is_full():
    if ON_SQLITE:
        with full():
            assert outage(error_of(fill)) == FULL
    else:  # no server here has a disk of its own to fill
        error = OperationalError()
        error.__cause__ = psycopg.errors.DiskFull()
        assert outage(error) == FULL


def test_a_statement_that_is_wrong_is_no_outage():
    def wrong() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")

    assert outage(error_of(wrong)) is None
    assert outage(ValueError()) is None


def test_rest_says_to_ask_again(api, owner):
    known = api(owner)
    with away():
        for answer in (
            known.get("/api/tasks/"),
            api().post("/auth/login", {"username": "a", "password": "b"}),
        ):
            assert answer.status_code == 503, answer.content
            assert answer.headers["Retry-After"] == "5"
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["detail"] == AWAY.told


@pytest.mark.parametrize("found", [AWAY, FULL])
def test_the_upload_door_says_it_too(monkeypatch, found):
    def fail(pk):
        error = OperationalError("with a secret in it")
        error.__cause__ = (
            psycopg.errors.DiskFull() if found is FULL else psycopg.errors.AdminShutdown()
        )
        raise error

    monkeypatch.setattr(door.sessions, "find", fail)
    monkeypatch.setattr(door.capability, "opened", lambda name: 1)
    sent: list[dict] = []

    async def send(message) -> None:
        sent.append(message)

    path = f"{capability.PATH}x"
    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    asyncio.run(door.Door(scope, None, send).serve())
    assert sent[0]["status"] == found.status
    assert json.loads(sent[1]["body"])["detail"] == found.told
    assert (b"retry-after" in {name.lower() for name, _ in sent[0]["headers"]}) == (found is AWAY)
