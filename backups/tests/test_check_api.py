"""Asking databases and destinations whether they answer, over REST, against real servers."""

from __future__ import annotations

import socket
import time

import pytest
from django.core.cache import cache

from backups import connections
from backups.models import Destination
from backups.pipeline.errors import PipelineError

pytestmark = pytest.mark.django_db


@pytest.fixture
def real(database, postgres15):
    """`database`, at a server that answers."""
    server = postgres15.server("postgres")
    database.host, database.port, database.dbname = server.host, server.port, server.dbname
    database.username, database.password = server.user, str(server.password)
    database.save()
    return database


@pytest.fixture
def silent():
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def check(client, row):
    noun = "destinations" if isinstance(row, Destination) else "databases"
    return client.post(f"/api/{noun}/{row.pk}/check/")


def test_it_works(api, mate, real):
    answer = check(api(mate), real)
    assert answer.status_code == 200
    body = answer.json()
    assert body["ok"] is True
    assert body["server_version"].startswith("15.")
    assert body["engine"] == "postgres"
    assert "pg_dump" in body["tool"]
    assert body["estimated_bytes"] > 0


def test_a_wrong_password_is_told_with_its_remedy(api, mate, real):
    real.password = "hidden-and-wrong"
    real.save()
    answer = check(api(mate), real)
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert "password" in answer.json()["detail"]
    assert "hidden-and-wrong" not in answer.content.decode()


def test_a_database_that_is_not_there_is_told(api, mate, real):
    real.dbname = "nothing_here"
    real.save()
    answer = check(api(mate), real)
    assert answer.status_code == 422
    assert "nothing_here" in answer.json()["detail"]


def test_a_server_that_is_not_there_is_told(api, mate, database):
    answer = check(api(mate), database)
    assert answer.status_code == 422
    assert "127.0.0.1:1" in answer.json()["detail"]


@pytest.mark.alone
def test_a_server_that_says_nothing_holds_nobody_up(database, silent):
    database.port = silent
    began = time.monotonic()
    with pytest.raises(PipelineError, match=r"did not answer|does not answer"):
        connections.check_database(database, seconds=0.5)
    assert time.monotonic() - began < 3


def test_a_folder_is_written_to_and_left_as_it_was(api, mate, destination, tmp_path):
    answer = check(api(mate), destination)
    assert answer.status_code == 200
    assert answer.json() == {"ok": True, "place": str(tmp_path / "kept")}
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_folder_that_is_not_there_is_told(api, mate, destination, tmp_path):
    (tmp_path / "kept").rmdir()
    answer = check(api(mate), destination)
    assert answer.status_code == 422
    assert str(tmp_path / "kept") in answer.json()["detail"]


def test_a_bucket_is_written_to(api, mate, bucket, s3_place):
    bucket.options, bucket.secret = s3_place.options, s3_place.secret
    bucket.save()
    answer = check(api(mate), bucket)
    assert answer.status_code == 200, answer.content
    assert answer.json()["place"].startswith("s3://")


def test_a_bucket_that_is_not_there_is_told(api, mate, bucket):
    answer = check(api(mate), bucket)
    assert answer.status_code == 422
    assert "127.0.0.1:1" in answer.json()["detail"]


def test_settings_that_make_no_sense_by_now_are_told(api, mate, bucket):
    Destination.objects.update(options={})
    answer = check(api(mate), bucket)
    assert answer.status_code == 422
    assert "bucket" in answer.json()["detail"]


@pytest.fixture
def standing():
    """connections.storage, which has not asked anybody yet."""
    cache.delete(connections._STANDING)
    yield connections.storage
    cache.delete(connections._STANDING)


def test_storage_stands_where_every_plan_can_write(standing, owner, plan):
    assert standing(owner) == (True, [])


def test_storage_does_not_stand_where_a_plan_cannot_write(
    standing, owner, stranger, plan, tmp_path
):
    (tmp_path / "kept").rmdir()
    stands, sentences = standing(owner)
    assert not stands
    assert sentences[0].startswith("disk: ")
    assert standing(stranger) == (False, [])
    assert standing() == (False, [])


def test_storage_that_no_plan_uses_is_not_asked(standing, bucket, plan):
    assert standing() == (True, [])


def test_storage_is_not_asked_again_at_once(standing, plan, tmp_path):
    standing()
    (tmp_path / "kept").rmdir()
    assert standing() == (True, [])


@pytest.mark.alone
def test_storage_that_says_nothing_holds_nobody_up(standing, bucket, plan, silent, monkeypatch):
    monkeypatch.setattr(connections, "STANDING_SECONDS", 0.5)
    bucket.options |= {"endpoint": f"http://127.0.0.1:{silent}"}
    bucket.save()
    plan.destination = bucket
    plan.save()
    began = time.monotonic()
    assert standing() == (False, [])
    assert time.monotonic() - began < 3
