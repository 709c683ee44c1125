"""What only a bucket at Google does: generations, parts kept by half, uploads ended elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading

import pytest

from backups.pipeline.errors import StorageError
from backups.storages import open_store
from backups.storages.gcs import store as gcs
from backups.tests import places
from backups.tests.faulty_proxy import PASS, SWALLOW, FaultyProxy
from backups.tests.places import MIB, PART, blocks, read_all
from tests.gcs_front import UNIT

CONTENT = os.urandom(2 * PART + 1)
LAST = re.compile(rb"Content-Range: bytes [^/]+/\d", re.IGNORECASE)


@pytest.fixture
def store(gcs_place):
    return open_store("gcs", gcs_place.options)


@pytest.fixture
def front(gcs_server):
    return gcs_server.front


@pytest.fixture
def proxy(gcs_server):
    with FaultyProxy(gcs_server.endpoint) as running:
        yield running


@pytest.fixture
def proxied(gcs_place, proxy):
    """The same place, through the proxy."""
    return open_store("gcs", gcs_place.options | {"endpoint": proxy.endpoint})


def spans(seen: list[bytes]) -> list[str]:
    """Where the parts that were sent, or asked about, belong."""
    found = (re.search(rb"Content-Range: bytes (\S+)", head, re.IGNORECASE) for head in seen)
    return [match[1].decode() for match in found if match]


def test_it_works(store, gcs_place):
    store.write("shop.sql.gz", blocks(CONTENT))
    assert gcs_place.content("shop.sql.gz") == CONTENT
    assert store.describe() == f"gs://{gcs_place.bucket}/{gcs_place.prefix}/"


def test_the_generation_is_told_and_named_when_it_is_removed(proxied, proxy, gcs_place):
    seen = []
    proxy.judge = lambda head: seen.append(head) or PASS
    stored = proxied.write("a", [b"x"])
    assert [stored.version] == gcs_place.generations()
    assert proxied.stat("a").version == stored.version
    proxied.delete("a", version=stored.version)
    [removal] = [head for head in seen if head.startswith(b"DELETE")]
    assert f"generation={stored.version}".encode() in removal.split(b"\r\n")[0]
    assert gcs_place.names() == []


def test_lists_go_on_after_their_first_page(store, monkeypatch):
    monkeypatch.setattr(gcs, "PAGE", 2)
    names = [f"a/{number}" for number in range(5)]
    for name in names:
        store.write(name, [b"x"])
    assert sorted(item.key for item in store.list()) == names


def test_what_a_killed_check_left_is_swept(store, gcs_place):
    store.write("backdrop-check-0123456789abcdef", [b"x"])
    store.write("backdrop-check-of-mine", [b"x"])
    assert store.sweep(older_than_seconds=3600) == 0
    assert store.sweep(older_than_seconds=-1) == 1
    assert gcs_place.names() == ["backdrop-check-of-mine"]


@pytest.mark.parametrize("size", [0, 3, PART + 1])
def test_a_lost_answer_to_the_last_request_is_asked_for(proxied, proxy, gcs_place, size):
    lost = []

    def judge(head: bytes) -> str:
        if LAST.search(head) and not lost:
            lost.append(head)
            return SWALLOW
        return PASS

    proxy.judge = judge
    stored = proxied.write("a", blocks(CONTENT[:size]))
    assert lost
    assert (stored.size, [stored.version]) == (size, gcs_place.generations())
    assert gcs_place.content("a") == CONTENT[:size]
    assert gcs_place.uploads() == []


def test_a_last_request_that_never_arrived_is_sent_again(proxied, proxy, gcs_place):
    lost = []

    def judge(head: bytes) -> str:
        if LAST.search(head) and not lost:
            lost.append(head)
            return "cut off"
        return PASS

    proxy.judge = judge
    proxied.write("a", blocks(CONTENT))
    assert lost
    assert gcs_place.content("a") == CONTENT


def test_a_part_whose_answer_was_lost_is_not_sent_again(proxied, proxy, gcs_place):
    seen = []

    def judge(head: bytes) -> str:
        seen.append(head)
        return SWALLOW if len(spans(seen)) == 2 else PASS

    proxy.judge = judge
    proxied.write("a", blocks(CONTENT))
    size = len(CONTENT)
    assert spans(seen) == [
        f"0-{PART - 1}/*",
        f"{PART}-{2 * PART - 1}/*",
        "*/*",
        f"{2 * PART}-{size - 1}/{size}",
    ]
    assert gcs_place.content("a") == CONTENT


@pytest.mark.parametrize("kept", [0, UNIT, 3 * UNIT])
def test_of_a_part_that_was_kept_by_half_the_rest_is_sent(store, front, gcs_place, kept):
    def stream():
        front.keep_most = kept
        yield from blocks(CONTENT)

    store.write("a", stream())
    assert front.keep_most is None
    assert gcs_place.content("a") == CONTENT


def test_of_a_last_part_that_was_kept_by_half_the_rest_is_sent(store, front, gcs_place):
    def ask():
        front.keep_most = UNIT

    store.write("a", blocks(CONTENT[: 3 * MIB]), before_commit=ask)
    assert front.keep_most is None
    assert gcs_place.content("a") == CONTENT[: 3 * MIB]


def test_the_next_part_is_filled_while_one_is_on_its_way(proxied, proxy):
    filled = threading.Event()
    overlapped = []

    def judge(head: bytes) -> str:
        if b"bytes 0-" in head:
            overlapped.append(filled.wait(10))
        return PASS

    def stream():
        yield CONTENT[: PART + MIB]  # the first part is full, so it is sent
        yield CONTENT[PART + MIB : PART + 2 * MIB]
        filled.set()

    proxy.judge = judge
    proxied.write("a", stream())
    assert overlapped == [True]


def test_an_upload_that_was_undone_takes_nothing_more(store, gcs_place):
    """A writer that was given up, but lives, makes nothing visible."""
    opened = []

    def stream():
        yield CONTENT
        store.undo(opened[0])
        yield CONTENT

    with pytest.raises(StorageError, match="lost the upload") as caught:
        store.write("a", stream(), opened=opened.append)
    assert not caught.value.permanent
    assert gcs_place.names() == []


def test_an_upload_that_was_undone_is_not_finished(store, gcs_place):
    opened = []
    with pytest.raises(StorageError, match="lost the upload"):
        store.write("a", [b"x"], opened=opened.append, before_commit=lambda: store.undo(opened[0]))
    assert gcs_place.names() == []


def test_bytes_that_were_damaged_on_the_way_are_not_kept(store, front, gcs_place):
    front.damages = True
    with pytest.raises(StorageError, match="got other bytes than were sent"):
        store.write("a", [b"x" * 1000])
    assert not front.damages
    assert gcs_place.names() == []


def test_what_the_server_has_is_compared_where_it_does_not_compare(store, gcs_place, monkeypatch):
    monkeypatch.setattr(gcs.GCSUpload, "checksum", "AAAAAA==")
    gcs_place.server.front.compares = False
    try:
        with pytest.raises(StorageError, match="kept other bytes"):
            store.write("a", [b"x"])
    finally:
        gcs_place.server.front.compares = True
    assert gcs_place.names() == []


def test_a_broken_connection_is_replaced_while_reading(store, proxied, proxy):
    store.write("a", blocks(CONTENT))
    proxy.cut_after = 3 * MIB
    assert read_all(proxied, "a") == CONTENT
    assert proxy.cuts >= 5


def test_reading_ends_when_no_connection_brings_a_byte(store, proxied, proxy):
    store.write("a", blocks(CONTENT))
    with proxied.read("a") as stream:
        coming = iter(stream)
        next(coming)
        stream._call = proxied._call.hurried(1)
        proxy.judge = lambda head: "" if head.startswith(b"GET ") else PASS
        proxy.break_now()
        with pytest.raises(StorageError, match="broke the connection"):
            list(coming)


def test_an_object_that_changes_while_it_is_read_is_an_error(store, proxied, proxy, gcs_place):
    store.write("a", blocks(CONTENT))
    proxy.cut_after = 3 * MIB
    with proxied.read("a") as stream:
        coming = iter(stream)
        next(coming)
        gcs_place.put("a", CONTENT[::-1])
        with pytest.raises(StorageError, match="changed"):
            list(coming)


def test_what_is_read_whole_has_to_have_its_checksum(store):
    store.write("a", blocks(CONTENT))
    with store.read("a") as stream:
        stream._wanted = "AAAAAA=="
        with pytest.raises(StorageError, match="other bytes"):
            list(stream)


def test_memory_stays_the_same_whatever_the_size(gcs_place):
    with places.writer(
        act="measure", key="a", mib=96, kind="gcs", options=gcs_place.options
    ) as process:
        measured = places.told(process, "measured")
    assert measured["size"] == 96 * MIB
    assert measured["writing"] < 40 * MIB
    assert measured["reading"] < 40 * MIB


def test_no_process_holds_libraries_of_google_before_it_uses_a_bucket_there():
    """They bring gRPC's, with which a worker could not fork."""
    tried = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'backdrop_site.settings';"
        "django.setup(); from backups import jobs, recipes, storages;"
        "storages.validated('gcs', {'bucket': 'backups'});"
        "print([name for name in sys.modules if name.startswith(('grpc', 'google.'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", tried], cwd=places.ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
