"""What only a folder does: modes, links, other file systems, and everything a disk refuses."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage

from backups.pipeline.errors import MissingObjectError, ObjectExistsError, StorageError
from backups.storages import open_store
from backups.storages.local import LocalStore, drafts
from backups.tests import places
from backups.tests.places import MIB, read_all

MS_RDONLY = 1
NOBODY = 65534


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "kept"
    path.mkdir()
    return path


@pytest.fixture
def store(folder):
    return open_store("local", {"folder": str(folder)})


@pytest.fixture
def outside(tmp_path) -> Path:
    """A file that no key may reach."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "a").write_bytes(b"mine")
    return path


def refused(folder: Path, **order) -> dict:
    """What a writer is told in a process of its own that finds the folder so."""
    order = {"kind": "local", "options": {"folder": str(folder)}, "mib": 12} | order
    with places.writer(act="fail", **order) as process:
        return places.told(process, "failed")


def test_it_works(store, folder):
    store.write("shop/a.sql.gz", [b"one ", b"two"])
    assert (folder / "shop/a.sql.gz").read_bytes() == b"one two"


@pytest.mark.parametrize("nameless", [True, False])
def test_only_the_owner_may_look(folder, nameless):
    before = os.umask(0)
    try:
        store = LocalStore(FileSystemStorage(location=str(folder)), nameless=nameless)
        store.write("shop/a", [b"x"])
    finally:
        os.umask(before)
    assert oct((folder / "shop").stat().st_mode) == "0o40700"
    assert oct((folder / "shop/a").stat().st_mode) == "0o100600"


def test_an_empty_folder_goes_with_its_last_object(store, folder):
    store.write("shop/2024/a", [b"x"])
    store.write("shop/b", [b"x"])
    store.delete("shop/2024/a")
    assert [path.name for path in folder.rglob("*")] == ["shop", "b"]
    store.delete("shop/b")
    assert list(folder.iterdir()) == []


def test_a_folder_that_goes_while_it_is_written_to_is_made_again(store):
    store.write("shop/a", [b"x"])

    def stream():
        yield b"y"
        store.delete("shop/a")

    store.write("shop/b", stream())
    assert read_all(store, "shop/b") == b"y"


@pytest.mark.parametrize("target", ["outside", "outside/a"])
def test_no_key_leads_out_by_a_link(store, folder, outside, target):
    (folder / "link").symlink_to(folder.parent / target)
    key = "link/a" if target == "outside" else "link"
    for use in (store.stat, lambda key: read_all(store, key)):
        with pytest.raises(StorageError):
            use(key)
    with pytest.raises(StorageError):
        store.write(key, [b"theirs"])
    with pytest.raises(StorageError):
        store.write("link/new", [b"theirs"])
    assert list(store.list()) == []
    assert [path.read_bytes() for path in outside.iterdir()] == [b"mine"]


def test_a_link_in_the_folder_is_removed_and_not_what_it_leads_to(store, folder, outside):
    (folder / "link").symlink_to(outside / "a")
    store.delete("link")
    assert list(folder.iterdir()) == []
    (folder / "link").symlink_to(outside)
    with pytest.raises(StorageError):
        store.delete("link/a")
    assert (outside / "a").read_bytes() == b"mine"


def test_a_pipe_is_no_object_and_hangs_nobody(store, folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(MissingObjectError):
        store.stat("pipe")
    assert list(store.list()) == []


def test_a_file_system_without_nameless_files_gets_named_ones(store, folder, monkeypatch):
    def refuse(folder: int) -> int:
        raise OSError(errno.EOPNOTSUPP, "no O_TMPFILE here")

    monkeypatch.setattr(drafts, "_open_nameless", refuse)
    opened = []
    store.write("a", [b"x"], opened=opened.append)
    assert drafts.TEMPORARY.match(opened[0]["part"])
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_a_file_system_without_links_renames_and_still_never_overwrites(folder, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(drafts.os, "link", refuse)
    store = LocalStore(FileSystemStorage(location=str(folder)), nameless=False)

    def stream():
        store.write("a", [b"first"])
        yield b"second"

    with pytest.raises(ObjectExistsError):
        store.write("a", stream())
    assert read_all(store, "a") == b"first"
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_a_living_writer_is_not_swept(folder):
    store = LocalStore(FileSystemStorage(location=str(folder)), nameless=False)

    def stream():
        yield b"x"
        assert store.sweep(older_than_seconds=-1) == 0

    store.write("a", stream())
    (folder / f".backdrop-{'0' * 32}.part").touch()
    (folder / "backdrop-check-0123456789abcdef").touch()
    (folder / ".hidden").touch()
    assert store.sweep(older_than_seconds=-1) == 2
    assert sorted(path.name for path in folder.iterdir()) == [".hidden", "a"]


@pytest.mark.parametrize("nameless", [True, False])
def test_a_full_disk_is_said_so_and_nothing_is_left(folder, nameless):
    said = refused(folder, nameless=nameless, mount=[0, "size=8m"], file_mib=8)
    if said["hindered"] == "mounted":
        assert said["sentence"] == f"{folder} is full."
        assert said["remedy"] == "Free space there or choose another folder."
    else:  # where nothing may be mounted, the same happens by a limit
        assert "does not take a file this large" in said["sentence"]
    assert said["left"] == []


@pytest.mark.parametrize("nameless", [True, False])
def test_a_limit_on_files_is_said_so_and_nothing_is_left(folder, nameless):
    said = refused(folder, nameless=nameless, file_mib=8)
    assert said["sentence"] == f"{folder} does not take a file this large."
    assert "ulimit" in said["remedy"]
    assert said["permanent"]
    assert said["left"] == []


def test_a_folder_of_another_user_is_said_so():
    folder = Path(tempfile.mkdtemp())  # below /tmp, where others may enter
    try:
        folder.chmod(0o555)
        said = refused(folder, user=NOBODY)
        folder.chmod(0o700)
    finally:
        shutil.rmtree(folder)
    assert said["sentence"] == f"{folder} is closed to Backdrop."
    assert "read and write there" in said["remedy"]
    assert said["permanent"]
    assert said["left"] == []


def test_a_read_only_disk_is_said_so(folder):
    said = refused(folder, mount=[MS_RDONLY, "size=8m"], file_mib=8)
    expected = "is read-only" if said["hindered"] == "mounted" else "does not take a file"
    assert expected in said["sentence"]
    assert said["left"] == []


def test_a_missing_folder_is_not_made(tmp_path):
    store = open_store("local", {"folder": str(tmp_path / "not-mounted")})
    uses = (
        store.check,
        lambda: store.write("a", [b"x"]),
        lambda: store.stat("a"),
        lambda: list(store.list()),
        lambda: store.delete("a"),
        lambda: store.sweep(older_than_seconds=0),
    )
    for use in uses:
        with pytest.raises(StorageError, match=r"not-mounted is missing\. Create") as caught:
            use()
        assert not isinstance(caught.value, MissingObjectError)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_said_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="is not a folder"):
        open_store("local", {"folder": str(tmp_path / "file")}).check()


@pytest.mark.parametrize("nameless", [True, False])
def test_a_folder_that_vanishes_during_the_writing_is_said_so(folder, nameless):
    store = LocalStore(FileSystemStorage(location=str(folder)), nameless=nameless)

    def stream():
        yield b"x" * MIB
        shutil.rmtree(folder)

    with pytest.raises(StorageError, match="is missing"):
        store.write("a", stream())
    assert not folder.exists()


def test_a_mistake_of_the_source_is_not_blamed_on_the_disk(store):
    def stream():
        yield b"x"
        raise OSError(errno.ENOSPC, "the source's own disk")

    with pytest.raises(OSError, match="the source's own"):
        store.write("a", stream())
