from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

import pytest

from backups.pipeline import naming
from backups.pipeline.compression import COMPRESSIONS

AT = datetime(2024, 1, 15, 2, tzinfo=UTC)


def test_it_works():
    keys = naming.object_keys("postgres-db", AT, "sql", ".gz")
    assert next(keys) == "postgres-db_2024-01-15T02-00-00Z.sql.gz"


def test_a_second_run_in_the_same_second_gets_a_number_after_the_time():
    assert list(islice(naming.object_keys("db", AT, "sql", ".zst"), 3))[1:] == [
        "db_2024-01-15T02-00-00Z_2.sql.zst",
        "db_2024-01-15T02-00-00Z_3.sql.zst",
    ]


def test_the_time_is_utc():
    there = datetime(2024, 1, 15, 4, tzinfo=timezone(timedelta(hours=2)))
    assert next(naming.object_keys("db", there, "sql")) == "db_2024-01-15T02-00-00Z.sql"


@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
@pytest.mark.parametrize("encryption", ["", ".age"])
def test_a_key_is_read_as_it_was_made(compression, encryption):
    suffix = compression.suffix + encryption
    for number, key in enumerate(islice(naming.object_keys("a_b-c.sql", AT, "sql", suffix), 2), 1):
        found = naming.parse(f"some/folder/{key}")
        assert (found.database, found.at, found.number) == ("a_b-c.sql", AT, number)
        assert (found.extension, found.suffix) == ("sql", suffix)


@pytest.mark.parametrize(
    "key",
    [
        "notes.txt",
        "db_2024-02-31T02-00-00Z.sql.gz",
        "db_2024-01-15T02-00-00Z.sql.gz.manifest.json",
        "db_2024-01-15T02-00-00Z.sql.rar",
        "_2024-01-15T02-00-00Z.sql",
    ],
)
def test_other_names_are_not_backups(key):
    assert naming.parse(key) is None


def test_a_manifest_stands_beside_its_object():
    manifest = naming.manifest_key("db_2024-01-15T02-00-00Z.sql.gz")
    assert manifest == "db_2024-01-15T02-00-00Z.sql.gz.manifest.json"
    assert naming.object_key(manifest) == "db_2024-01-15T02-00-00Z.sql.gz"
    assert naming.object_key("db_2024-01-15T02-00-00Z.sql.gz") is None
