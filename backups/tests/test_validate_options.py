"""What a destination's settings must look like."""

from __future__ import annotations

import pytest

from backups.models import Destination
from backups.pipeline.errors import StorageError
from backups.storages import KEPT, KINDS, OptionsError, open_store, validated

SECRET = "secret"
SECRETS = {"s3": SECRET}
BUCKET = {"bucket": "backups", "access_key": "AKIA"}


def refused(kind: str, options, secret: str = SECRET) -> dict[str, str]:
    with pytest.raises(OptionsError) as caught:
        open_store(kind, options, secret)
    assert caught.value.permanent
    assert isinstance(caught.value, StorageError)
    return caught.value.fields


def test_it_works():
    assert open_store("local", {"folder": "/srv/backups/"}).describe() == "/srv/backups"
    store = open_store("s3", BUCKET | {"prefix": "/shop/"}, "secret")
    assert store.describe() == "s3://backups/shop/"


@pytest.mark.parametrize("prefix", ["", "daily", "/a/b/"])
@pytest.mark.parametrize("name", KINDS)
def test_a_kind_names_its_place_as_its_store_does(name, prefix):
    options = {"local": {"folder": f"/srv/x{prefix}"}, "s3": BUCKET | {"prefix": prefix}}
    given = options.get(name, {"bucket": "backups", "prefix": prefix})
    assert KINDS[name].address(given) == open_store(name, given, SECRETS.get(name, "")).describe()


@pytest.mark.parametrize(
    ("kind", "options", "command"),
    [
        ("local", {"folder": "/srv/back ups/"}, "cp '/srv/back ups/a/b.sql.gz' b.sql.gz"),
        ("s3", BUCKET | {"prefix": "/x/"}, "aws s3 cp s3://backups/x/a/b.sql.gz b.sql.gz"),
        (
            "s3",
            BUCKET | {"endpoint": "http://minio:9000"},
            "aws s3 cp s3://backups/a/b.sql.gz b.sql.gz --endpoint-url http://minio:9000",
        ),
        ("gcs", {"bucket": "b"}, "gcloud storage cp gs://b/a/b.sql.gz b.sql.gz"),
    ],
)
def test_a_kind_tells_how_to_fetch_by_hand(kind, options, command):
    assert KINDS[kind].fetch(options, "a/b.sql.gz", "b.sql.gz") == command


def test_a_kind_may_do_without_a_secret():
    assert validated("gcs", {"bucket": "backups"}) == {"bucket": "backups"}


def test_a_secret_that_is_stored_is_not_looked_at_again():
    assert validated("gcs", {"bucket": "backups"}, KEPT) == {"bucket": "backups"}


def test_every_kind_can_be_chosen_and_is_called_alike_everywhere():
    field = Destination._meta.get_field("kind")
    assert list(field.choices) == [(kind.name, kind.label) for kind in KINDS.values()]


def test_defaults_fill_what_is_left_out_or_empty():
    assert validated("s3", BUCKET | {"region": "", "prefix": None}, "secret") == BUCKET | {
        "region": "us-east-1"
    }


def test_an_unknown_kind_is_told_with_the_known_ones():
    assert "gcs, local, s3" in refused("ftp", {})["kind"]


@pytest.mark.parametrize("folder", ["", "/", "backups", "relative/backups", 7])
def test_a_folder_is_a_whole_path(folder):
    assert set(refused("local", {"folder": folder})) == {"folder"}


def test_what_is_missing_is_told_by_name():
    assert refused("s3", {}, "") == {
        "bucket": "This is needed.",
        "access_key": "This is needed.",
        "secret": "Enter the secret key.",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bucket", "Has_Capitals"),
        ("bucket", "ab"),
        ("prefix", "../up"),
        ("prefix", "a//b"),
        ("prefix", "a b"),
        ("endpoint", "storage.example.org"),
        ("endpoint", "ftp://storage.example.org"),
        ("endpoint", "https://user:secret@storage.example.org"),
        ("endpoint", "https://storage.example.org/path"),
        ("region", "somewhere else"),
        ("path_style", "yes"),
        ("access_key", "two words"),
    ],
)
def test_each_fault_is_told_at_its_field_without_its_value(name, value):
    fields = refused("s3", BUCKET | {name: value})
    assert set(fields) == {name}
    assert value not in fields[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bucket", "Has_Capitals"),
        ("prefix", "../up"),
        ("endpoint", "https://user:secret@storage.example.org"),
        ("payer", "no project"),
        ("secret", "AIzaSy-not-json"),
    ],
)
def test_each_fault_of_a_bucket_at_google_is_told_at_its_field(name, value):
    given = {"bucket": "backups"} | ({} if name == "secret" else {name: value})
    fields = refused("gcs", given, value if name == "secret" else "")
    assert set(fields) == {name}
    assert value not in fields[name]


def test_a_secret_among_the_options_is_refused_and_not_repeated():
    fields = refused("s3", BUCKET | {"secret_key": "wJalrXUtnFEMI"})
    assert set(fields) == {"secret_key"}
    assert "wJalrXUtnFEMI" not in str(fields)


@pytest.mark.parametrize(
    ("options", "by_path", "checksums"),
    [
        ({}, False, "when_supported"),
        ({"endpoint": "https://s3.eu-west-1.amazonaws.com"}, False, "when_supported"),
        ({"endpoint": "http://127.0.0.1:9000"}, True, "when_required"),
        ({"endpoint": "http://127.0.0.1:9000", "path_style": False}, False, "when_required"),
        ({"endpoint": "https://amazonaws.com.evil.org"}, True, "when_required"),
    ],
)
def test_only_amazon_gets_the_newer_checksums_and_bucket_names(options, by_path, checksums):
    store = open_store("s3", BUCKET | options, "secret")
    config = store._clients._storage.client_config
    assert (config.s3["addressing_style"] == "path") == by_path
    assert config.request_checksum_calculation == checksums
