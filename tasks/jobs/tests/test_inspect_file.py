"""The job `inspect`."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
import zlib

import pytest

from tasks.errors import PermanentError
from tasks.jobs import archives
from tasks.jobs.tests.here import run


def inspect(tmp_path, content: bytes, filename: str = "") -> dict:
    return run("inspect", tmp_path, content, filename)[0]


def zipped(**entries: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/"), content)
    return made.getvalue()


def test_it_works(tmp_path):
    content = b"one\ntwo\nthree\n"
    assert inspect(tmp_path, content, "list.txt") == {
        "filename": "list.txt",
        "size": 14,
        "type": "text/plain",
        "sha256": hashlib.sha256(content).hexdigest(),
        "sha1": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "crc32": f"{zlib.crc32(content):08x}",
        "text": {
            "encoding": "utf-8",
            "lines": 3,
            "line_ends": "LF",
            "longest_line": 5,
            "ends_with_newline": True,
        },
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", {"lines": 0, "encoding": "utf-8"}),
        (b"no end", {"lines": 1, "line_ends": "none", "ends_with_newline": False}),
        (b"a\r\nb\r\n", {"lines": 2, "line_ends": "CRLF"}),
        (b"a\r\nb\n", {"line_ends": "mixed"}),
        ("ä\n".encode("latin-1"), {"encoding": "unknown-8bit"}),
        ("\ufeffä\n".encode(), {"encoding": "utf-8-sig"}),
        ("ä\n".encode("utf-16"), {"encoding": "utf-16-le"}),
        ("ä".encode()[:1] + b"", {"encoding": "unknown-8bit"}),
    ],
)
def test_text_is_told(tmp_path, content, told):
    found = inspect(tmp_path, content, "a.txt")["text"]
    assert {name: found[name] for name in told} == told


def test_text_that_parts_between_blocks_is_told_right(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.jobs.reading.BLOCK", 2)
    found = inspect(tmp_path, "aä\r\nbbbb\r\n".encode())["text"]
    assert found["encoding"] == "utf-8"
    assert (found["line_ends"], found["lines"], found["longest_line"]) == ("CRLF", 2, 5)


def test_a_zip_is_listed_and_not_unpacked(tmp_path):
    found = inspect(tmp_path, zipped(a=b"1", b__c=b"22"))["archive"]
    assert found["entries"] == 2
    assert found["unpacked_bytes"] == 3
    assert found["listed"] == [{"name": "a", "size": 1}, {"name": "b/c", "size": 2}]
    assert found["warnings"] == []


def test_a_tar_is_listed(tmp_path):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("../out")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
    found = inspect(tmp_path, made.getvalue())["archive"]
    assert found["listed"] == [{"name": "../out", "size": 3}]
    assert "leave the folder" in found["warnings"][0]


def test_a_bomb_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "BOMB_BYTES", 1000)
    found = inspect(tmp_path, zipped(a=bytes(5_000_000)))["archive"]
    assert "perhaps a bomb" in found["warnings"][0]


def test_a_broken_archive_is_a_clear_failure(tmp_path):
    with pytest.raises(PermanentError, match="archive is broken"):
        inspect(tmp_path, zipped(a=b"1" * 1000)[:-30])


def test_an_archive_with_too_many_entries_is_a_clear_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_ENTRIES", 1)
    with pytest.raises(PermanentError, match="more than 1 entries"):
        inspect(tmp_path, zipped(a=b"1", b=b"2"))


def many(entries: int, *, told: int | None = None) -> bytes:
    """A zip archive of empty files that says it has so many."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(entries):
            archive.writestr(f"{number}", b"")
    content = bytearray(made.getvalue())
    if told is not None:
        end = content.rfind(b"PK\x05\x06")
        content[end + 8 : end + 12] = told.to_bytes(2, "little") * 2
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "most"), [(many(300), 299), (many(70_000), 69_999), (many(3, told=60_000), 50_000)]
)
def test_too_many_entries_are_told_before_any_is_read(tmp_path, monkeypatch, content, most):
    monkeypatch.setattr(archives, "MOST_ENTRIES", most)
    monkeypatch.setattr("zipfile.ZipFile.__init__", lambda *_: pytest.fail("was read"))
    with pytest.raises(PermanentError, match=f"more than {most} entries"):
        inspect(tmp_path, content)


def test_a_list_of_contents_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_LISTING", 1000)
    with pytest.raises(PermanentError, match="entries"):
        inspect(tmp_path, many(100))


@pytest.mark.parametrize("name", ["/etc/passwd", "a/../../b", "C:\\x", "..\\x"])
def test_names_that_leave_are_told(tmp_path, name):
    found = inspect(tmp_path, zipped(**{name: b"1"}))["archive"]
    assert "leave the folder" in found["warnings"][0]
