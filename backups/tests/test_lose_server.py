"""A bucket's server that goes away in the middle: its own, since the shared one must stay."""

from __future__ import annotations

import os
import threading
import time

import pytest

from backups.pipeline.errors import StorageError
from backups.storages import open_store
from backups.storages.s3 import Limits, S3Store
from backups.tests.places import MIB
from tests.seaweed import SeaweedServer

CONTENT = os.urandom(40 * MIB)


@pytest.fixture(scope="module")
def server():
    with SeaweedServer() as running:
        yield running


@pytest.fixture
def place(server):
    return server.place()


def store_with(place, **limits) -> S3Store:
    store = open_store("s3", place.options, place.secret)
    return S3Store(store._clients._storage, Limits(**limits))


@pytest.fixture
def restart(server):
    """restart() ends the server at once and starts it again meanwhile."""
    starting = threading.Thread(target=server.start)

    def now() -> None:
        server.kill()
        starting.start()

    yield now
    starting.join(60)


def pieces():
    for at in range(0, len(CONTENT), MIB):
        yield CONTENT[at : at + MIB]


def test_it_works(place):
    store_with(place).write("a", pieces())
    assert place.content("a") == CONTENT


@pytest.mark.alone
def test_a_server_that_stops_fails_the_writing_within_seconds(server, place):
    store = open_store("s3", place.options, place.secret)
    opened, closed = [], []

    def stream():
        for number, block in enumerate(pieces()):
            if number == 20:
                server.kill()
            yield block
        while True:  # a database that goes on and on
            yield block
            time.sleep(0.01)

    began = time.monotonic()
    with pytest.raises(StorageError) as caught:
        store.write("a", stream(), opened=opened.append, closed=closed.append)
    assert time.monotonic() - began < 15
    assert caught.value.sentence == (
        f"The bucket {place.bucket} at {server.endpoint} can't be reached: no connection."
    )
    assert not caught.value.permanent
    assert len(opened) == 1
    assert closed == []  # it could not be undone: somebody has to, later

    server.start()
    assert place.names() == []
    assert place.uploads() == ["a"]
    store.undo(opened[0])
    assert place.uploads() == []


def test_a_server_that_comes_back_in_time_loses_nothing(restart, place):
    def stream():
        for number, block in enumerate(pieces()):
            if number == 20:
                restart()
            yield block

    store_with(place, patience=60).write("a", stream())
    assert place.content("a") == CONTENT
    assert place.uploads() == []


@pytest.mark.alone
def test_a_server_that_freezes_is_given_up(server, place):
    store = store_with(place, patience=1, connect_seconds=1, answer_seconds=1, data_seconds=1)

    def stream():
        for number, block in enumerate(pieces()):
            if number == 20:
                server.freeze()
            yield block

    began = time.monotonic()
    try:
        with pytest.raises(StorageError, match="did not answer"):
            store.write("a", stream())
        assert time.monotonic() - began < 12
    finally:
        server.thaw()
    assert place.names() == []
    assert store.sweep(older_than_seconds=-1) <= 1
    assert place.uploads() == []


def test_reading_goes_on_when_the_server_comes_back(restart, place):
    store = store_with(place, patience=60)
    store.write("a", pieces())
    found = []
    with store.read("a") as stream:
        for block in stream:
            found.append(bytes(block))
            if len(found) == 3:
                restart()
    assert b"".join(found) == CONTENT
