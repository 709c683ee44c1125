"""What has come goes to the disk while the rest comes."""

from __future__ import annotations

import os

import pytest

from tasks.uploads import flushing, sessions, writing
from tasks.uploads.writing import Writer

pytestmark = pytest.mark.django_db(transaction=True)

BLOCK = b"a" * 1000


@pytest.fixture
def begun(monkeypatch) -> list[tuple[int, int]]:
    """Where, and how much, whenever the disk is told to begin."""
    found = []
    monkeypatch.setattr(writing, "FLUSHED", 3000)
    monkeypatch.setattr(
        flushing, "begin", lambda handle, offset, length: found.append((offset, length))
    )
    return found


@pytest.fixture
def writer(settings, tmp_path, team, owner):
    settings.UPLOAD_DIR = tmp_path
    upload = sessions.ask(job="toy-file", team=team, owner=owner, size=20_000)
    made = Writer.take(upload, from_start=True)
    yield made
    made.close()


def test_it_works(begun, writer):
    for _ in range(8):
        writer.write([BLOCK])
    assert begun == [(0, 3000), (3000, 3000)]


def test_what_was_dropped_is_told_anew(begun, writer):
    writer.write([BLOCK] * 4)
    writer.drop()
    writer.write([BLOCK] * 3)
    assert begun == [(0, 4000), (0, 3000)]


def test_what_was_there_before_is_not(begun, writer):
    writer.write([BLOCK] * 4)
    writer.close()
    rest = Writer.take(writer.upload, at=4000)
    rest.write([BLOCK] * 3)
    rest.close()
    assert begun == [(0, 4000), (4000, 3000)]


def test_it_changes_nothing_and_fails_never(tmp_path):
    handle = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(handle, BLOCK)
    flushing.begin(handle, 0, len(BLOCK))
    os.close(handle)
    assert (tmp_path / "file").read_bytes() == BLOCK
    pipe = os.pipe()
    flushing.begin(pipe[1], 0, 1)
    for end in pipe:
        os.close(end)
