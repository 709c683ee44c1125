"""What only a bucket does: versions, pages, unfinished uploads, lost answers, broken reading."""

from __future__ import annotations

import os
import time

import pytest
from botocore.config import Config

from backups.pipeline.errors import ObjectExistsError, StorageError
from backups.storages import open_store
from backups.storages.s3 import listing
from backups.tests import places
from backups.tests.faulty_proxy import PASS, SWALLOW, FaultyProxy, answer
from backups.tests.places import MIB, PART, blocks, read_all

CONTENT = os.urandom(2 * PART + 1)


@pytest.fixture
def store(s3_place):
    return open_store("s3", s3_place.options, s3_place.secret)


@pytest.fixture
def proxy(s3_server):
    with FaultyProxy(s3_server.endpoint) as running:
        yield running


@pytest.fixture
def proxied(s3_place, proxy):
    """The same place, through the proxy."""
    return open_store("s3", s3_place.options | {"endpoint": proxy.endpoint}, s3_place.secret)


@pytest.fixture
def versioned(s3_server):
    """A bucket that keeps versions."""
    place = s3_server.place(bucket="versioned")
    enabled = {"Status": "Enabled"}
    place.client.put_bucket_versioning(Bucket=place.bucket, VersioningConfiguration=enabled)
    return place


def versions_of(place) -> list[str]:
    """Every version and delete marker below the prefix."""
    found = place.client.list_object_versions(Bucket=place.bucket, Prefix=place.prefix)
    each = found.get("Versions", []) + found.get("DeleteMarkers", [])
    return [version["VersionId"] for version in each]


def test_it_works(store, s3_place):
    store.write("shop.sql.gz", blocks(CONTENT))
    assert s3_place.content("shop.sql.gz") == CONTENT
    assert store.describe() == f"s3://{s3_place.bucket}/{s3_place.prefix}/"


@pytest.mark.parametrize("size", [3, PART + 1])
def test_a_version_is_told_and_can_be_removed_for_good(versioned, size):
    store = open_store("s3", versioned.options, versioned.secret)
    stored = store.write("a", blocks(CONTENT[:size]))
    assert stored.version in versions_of(versioned)
    assert store.stat("a").version == stored.version
    store.delete("a", version=stored.version)
    assert versions_of(versioned) == []


def test_a_check_leaves_no_version_behind(versioned):
    open_store("s3", versioned.options, versioned.secret).check()
    assert versions_of(versioned) == []


def test_lists_go_on_after_their_first_page(store, s3_place, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 2)
    names = [f"a/{number}" for number in range(5)]
    for name in names:
        store.write(name, [b"x"])
        where = {"Bucket": s3_place.bucket, "Key": f"{s3_place.prefix}/unfinished/{name}"}
        s3_place.client.create_multipart_upload(**where)
    assert sorted(item.key for item in store.list()) == names
    assert sum(store.sweep(older_than_seconds=-1) for _ in range(3)) == 5
    assert s3_place.uploads() == []


def test_an_upload_is_swept_only_when_nothing_came_for_long(store, s3_place):
    where = {"Bucket": s3_place.bucket, "Key": f"{s3_place.prefix}/a"}
    upload = s3_place.client.create_multipart_upload(**where)["UploadId"]
    time.sleep(6)
    between = time.monotonic() - 3  # well after it was begun, well before its part
    s3_place.client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"x")
    assert store.sweep(older_than_seconds=time.monotonic() - between) == 0
    deadline = time.monotonic() + 10
    while store.sweep(older_than_seconds=2) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert s3_place.uploads() == []


def test_without_a_prefix_only_dated_uploads_are_swept(s3_server):
    place = s3_server.place(bucket="shared", prefix="")
    for name in ("others-video.mp4", "shop_2024-01-15T02-00-00Z.sql.gz"):
        place.client.create_multipart_upload(Bucket=place.bucket, Key=name)
    store = open_store("s3", place.options, place.secret)
    assert store.sweep(older_than_seconds=-1) == 1
    assert place.uploads() == ["others-video.mp4"]


def test_what_a_killed_check_left_is_swept(store, s3_place):
    store.write("backdrop-check-0123456789abcdef", [b"x"])
    store.write("backdrop-check-of-mine", [b"x"])
    assert store.sweep(older_than_seconds=3600) == 0
    assert store.sweep(older_than_seconds=-1) == 1
    assert s3_place.names() == ["backdrop-check-of-mine"]


@pytest.mark.parametrize(("size", "request_line"), [(3, b"PUT "), (PART + 1, b"POST ")])
def test_a_lost_answer_to_the_last_request_is_asked_for(
    proxied, proxy, s3_place, size, request_line
):
    lost = []

    def judge(head: bytes) -> str:
        if head.startswith(request_line) and b"?uploads " not in head and not lost:
            lost.append(head)
            return SWALLOW
        return PASS

    proxy.judge = judge
    assert proxied.write("a", blocks(CONTENT[:size])).size == size
    assert lost
    assert s3_place.content("a") == CONTENT[:size]
    assert s3_place.uploads() == []


def test_a_lost_part_is_sent_again(proxied, proxy, s3_place):
    lost = []

    def judge(head: bytes) -> str:
        if b"partNumber=2" in head and len(lost) < 2:
            lost.append(head)
            return SWALLOW
        return PASS

    proxy.judge = judge
    proxied.write("a", blocks(CONTENT))
    assert len(lost) == 2
    assert s3_place.content("a") == CONTENT


@pytest.mark.parametrize("size", [3, PART + 1])
def test_a_server_that_knows_no_conditions_is_asked_before(proxied, proxy, s3_place, size):
    refused = answer("501 Not Implemented", "NotImplemented")
    proxy.judge = lambda head: refused if b"if-none-match" in head.lower() else PASS
    proxied.write("a", blocks(CONTENT[:size]))

    def stream():
        s3_place.client.put_object(
            Bucket=s3_place.bucket, Key=f"{s3_place.prefix}/b", Body=b"first"
        )
        yield from blocks(CONTENT[:size])

    with pytest.raises(ObjectExistsError):
        open_store("s3", s3_place.options | {"endpoint": proxy.endpoint}, s3_place.secret).write(
            "b", stream()
        )
    assert s3_place.content("b") == b"first"
    assert s3_place.uploads() == []


def test_checksums_of_parts_are_named_again_on_completing(s3_place):
    """Amazon refuses the completion otherwise; SeaweedFS takes it either way, so look inside."""
    store = open_store("s3", s3_place.options, s3_place.secret)
    as_for_amazon = Config(request_checksum_calculation="when_supported")
    storage = store._clients._storage
    storage.client_config = storage.client_config.merge(as_for_amazon)
    sent = []
    store._clients.patient.meta.events.register(
        "before-call.s3.CompleteMultipartUpload", lambda params, **_: sent.append(params["body"])
    )
    store.write("a", blocks(CONTENT))
    assert sent[0].count(b"<ChecksumCRC32>") == 3
    assert s3_place.content("a") == CONTENT


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


def test_an_object_that_changes_while_it_is_read_is_an_error(store, proxied, proxy, s3_place):
    store.write("a", blocks(CONTENT))
    proxy.cut_after = 3 * MIB
    with proxied.read("a") as stream:
        coming = iter(stream)
        next(coming)
        other = {"Bucket": s3_place.bucket, "Key": f"{s3_place.prefix}/a"}
        s3_place.client.put_object(**other, Body=CONTENT[::-1])
        with pytest.raises(StorageError, match="changed"):
            list(coming)


def test_memory_stays_the_same_whatever_the_size(s3_place):
    order = {"kind": "s3", "options": s3_place.options, "secret": s3_place.secret}
    with places.writer(act="measure", key="a", mib=256, **order) as process:
        measured = places.told(process, "measured")
    s3_place.client.delete_object(Bucket=s3_place.bucket, Key=f"{s3_place.prefix}/a")
    assert measured["size"] == 256 * MIB
    assert measured["writing"] < 80 * MIB
    assert measured["reading"] < 80 * MIB
