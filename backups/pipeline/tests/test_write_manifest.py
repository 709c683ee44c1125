from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from backups.pipeline.errors import CorruptError
from backups.pipeline.fingerprint import Table
from backups.pipeline.manifest import Manifest

MANIFEST = Manifest(
    key="shop_2024-01-15T02-00-00Z.sql.gz",
    database="shop",
    engine="postgres",
    server_version="15.20",
    tools={"pg_dump": "pg_dump (PostgreSQL) 15.20"},
    plan="nightly",
    started=datetime(2024, 1, 15, 2, tzinfo=UTC),
    finished=datetime(2024, 1, 15, 2, 0, 3, 500_000, tzinfo=UTC),
    raw_bytes=3,
    stored_bytes=2,
    raw_sha256="a" * 64,
    stored_sha256="b" * 64,
    compression="gzip",
    tables={'public."Ünï"': Table(rows=1, bytes=3, digest="c" * 64, columns=("a", '"B b"'))},
    sequences={"public.t_id_seq": "42, true"},
    schema="d" * 64,
    traits={"encoding": "UTF8", "roles": ["postgres"]},
)


def test_it_works():
    text = MANIFEST.to_bytes()
    assert Manifest.from_bytes(text) == MANIFEST
    found = json.loads(text)
    assert found["format_version"] == 1
    assert found["started"] == "2024-01-15T02:00:00.000Z"
    assert found["encryption"] == {"recipients": []}
    assert found["tables"]['public."Ünï"']["rows"] == 1


def test_times_of_another_zone_are_written_as_utc():
    there = timezone(timedelta(hours=2))
    found = Manifest.from_json(
        {**MANIFEST.as_json(), "started": datetime(2024, 1, 15, 4, tzinfo=there).isoformat()}
    )
    assert found.started == MANIFEST.started
    assert found.to_bytes() == MANIFEST.to_bytes()


def test_a_field_of_a_later_day_is_ignored():
    assert Manifest.from_json({**MANIFEST.as_json(), "streams": []}) == MANIFEST


@pytest.mark.parametrize("name", sorted(MANIFEST.as_json()))
def test_a_missing_field_is_named(name):
    found = MANIFEST.as_json()
    del found[name]
    with pytest.raises(CorruptError, match=f"lacks “{name}”") as caught:
        Manifest.from_json(found)
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("name", "wrong", "why"),
    [
        ("format_version", 2, "format version 2"),
        ("raw_bytes", -1, "not a count"),
        ("raw_bytes", True, "not a number"),
        ("raw_bytes", "3", "not a number"),
        ("stored_sha256", "A" * 64, "not a SHA-256"),
        ("stored_sha256", "", "not a SHA-256"),
        ("started", "yesterday", "not a time"),
        ("started", "2024-01-15T02:00:00", "no time zone"),
        ("tables", [], "“tables” is not a JSON object"),
        ("tables", {"t": {"rows": 1}}, "lacks “bytes”"),
        ("sequences", {"s": 42}, "“s” is not a text"),
        ("encryption", {"recipients": [1]}, "not a list of names"),
    ],
)
def test_a_wrong_value_is_named(name, wrong, why):
    with pytest.raises(CorruptError, match=why):
        Manifest.from_json({**MANIFEST.as_json(), name: wrong})


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", MANIFEST.to_bytes()[:-10]])
def test_what_is_no_manifest_is_corrupt(text):
    with pytest.raises(CorruptError):
        Manifest.from_bytes(text)
