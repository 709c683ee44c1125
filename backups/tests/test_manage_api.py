"""Making, changing and removing databases, destinations and plans over REST."""

from __future__ import annotations

import pytest
from django.db import connection

from accounts.models import Membership, Role, Team
from backups.models import Database, Destination, Plan
from backups.tests.conftest import PASSWORD, SECRET
from tasks.states import Status

pytestmark = pytest.mark.django_db

NEW = {
    "name": "books",
    "host": "db.example.org",
    "port": 5433,
    "dbname": "books",
    "username": "keeper",
    "password": PASSWORD,
    "sslmode": "require",
}


def errors(answer) -> dict:
    assert answer.status_code == 400, answer.content
    return answer.json()["errors"]


def test_it_works(api, owner, team):
    made = api(owner).post("/api/databases/", NEW)
    assert made.status_code == 201
    row = Database.objects.get(pk=made.json()["id"])
    assert (row.team, row.host, row.port) == (team, "db.example.org", 5433)
    assert row.password.reveal() == PASSWORD
    shown = api(owner).get(f"/api/databases/{row.pk}/").json()
    assert {name: shown[name] for name in NEW if name != "password"} == {
        name: value for name, value in NEW.items() if name != "password"
    }


def test_secrets_go_in_and_never_come_out(api, owner, database, bucket, plan, backup):
    client = api(owner)
    paths = [
        "/api/databases/",
        f"/api/databases/{database.pk}/",
        "/api/destinations/",
        f"/api/destinations/{bucket.pk}/",
        f"/api/plans/{plan.pk}/",
        f"/api/backups/{backup.pk}/",
    ]
    answers = [client.get(path) for path in paths]
    answers += [client.options(path) for path in paths]
    answers += [
        client.patch(paths[1], {"password": PASSWORD}),
        client.patch(paths[3], {"secret": SECRET}),
        client.patch(paths[1], {"password": PASSWORD, "port": "x"}),
        client.patch(paths[3], {"secret": SECRET, "options": {"secret_key": SECRET}}),
        client.post(paths[1] + "check/"),
        client.post(paths[3] + "check/"),
    ]
    for answer in answers:
        assert PASSWORD not in answer.content.decode()
        assert SECRET not in answer.content.decode()
        assert not {"password", "secret"} & set(answer.json())
    assert client.get(paths[1]).json()["has_password"] is True
    assert client.get(paths[3]).json()["has_secret"] is True
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM backups_database")
        assert PASSWORD not in str(cursor.fetchall())


def test_a_secret_left_out_or_empty_is_kept(api, owner, database):
    path = f"/api/databases/{database.pk}/"
    body = {k: v for k, v in NEW.items() if k not in ("password", "host", "port")}
    body |= {"host": database.host, "port": database.port}
    assert api(owner).put(path, body).status_code == 200
    assert Database.objects.get().password.reveal() == PASSWORD
    for nothing in ("", None):
        assert api(owner).patch(path, {"password": nothing}).json()["has_password"] is True
    assert Database.objects.get().password.reveal() == PASSWORD


@pytest.mark.parametrize("change", [{"host": "evil.example.org"}, {"port": 2}, {"username": "me"}])
def test_a_stored_password_is_not_sent_to_another_address(api, owner, database, change):
    path = f"/api/databases/{database.pk}/"
    assert set(errors(api(owner).patch(path, change))) == {"password"}
    assert api(owner).patch(path, change | {"password": "another"}).status_code == 200


def test_a_stored_secret_is_not_used_at_another_endpoint(api, owner, bucket):
    path = f"/api/destinations/{bucket.pk}/"
    change = {"options": bucket.options | {"endpoint": "https://evil.example.org"}}
    assert set(errors(api(owner).patch(path, change))) == {"secret"}
    assert api(owner).patch(path, change | {"secret": "another"}).status_code == 200
    assert (
        api(owner).patch(path, {"options": change["options"] | {"prefix": "x"}}).status_code == 200
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "no/slash"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"port": 0}, "port"),
        ({"port": 70000}, "port"),
        ({"sslmode": "perhaps"}, "sslmode"),
        ({"host": ""}, "host"),
        ({"engine": "oracle"}, "engine"),
        ({"dbname": "a\x00b"}, "dbname"),
        ({"team": 12345}, "team"),
        ({"password": None}, "password"),
    ],
)
def test_what_makes_no_sense_is_told_by_field(api, owner, change, field):
    assert set(errors(api(owner).post("/api/databases/", NEW | change))) == {field}
    assert not Database.objects.exists()


def test_what_is_missing_is_told_by_field(api, owner):
    assert set(errors(api(owner).post("/api/databases/", {}))) == {"name", "dbname", "username"}
    assert set(errors(api(owner).post("/api/plans/", {}))) == {"name", "database", "destination"}
    assert errors(api(owner).post("/api/destinations/", {"name": "x"}))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "options.bucket"),
        ({"bucket": "b", "colour": "red"}, "options.colour"),
        ({"bucket": "b", "path_style": "perhaps"}, "options.path_style"),
        ({"bucket": "b", "endpoint": "not an address"}, "options.endpoint"),
    ],
)
def test_options_are_checked_by_the_kind(api, owner, options, field):
    body = {"name": "s3", "kind": "s3", "options": options, "secret": SECRET}
    assert field in errors(api(owner).post("/api/destinations/", body))
    assert not Destination.objects.exists()


def test_options_must_be_an_object(api, owner):
    body = {"name": "s3", "kind": "s3", "options": ["bucket"], "secret": SECRET}
    assert set(errors(api(owner).post("/api/destinations/", body))) == {"options"}


def test_a_key_is_checked_by_the_kind_and_kept_unread(api, owner):
    body = {"name": "google", "kind": "gcs", "options": {"bucket": "backups"}}
    told = errors(api(owner).post("/api/destinations/", body | {"secret": SECRET}))
    assert set(told) == {"secret"}
    assert SECRET not in str(told)
    made = api(owner).post("/api/destinations/", body).json()
    assert made["has_secret"] is False
    Destination.objects.update(secret=SECRET)
    changed = {"options": {"bucket": "others"}}
    answer = api(owner).patch(f"/api/destinations/{made['id']}/", changed)
    assert (answer.status_code, answer.json()["has_secret"]) == (200, True)


def test_a_needed_secret_is_asked_for(api, owner):
    body = {"name": "s3", "kind": "s3", "options": {"bucket": "b", "access_key": "a"}}
    assert "secret" in errors(api(owner).post("/api/destinations/", body))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"compression_level": 600}, "compression_level"),
        ({"compression": "none", "compression_level": 1}, "compression_level"),
        ({"compression": "lzma"}, "compression"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
        ({"stall_seconds": -1}, "stall_seconds"),
        ({"stall_seconds": 2**31 - 1}, "stall_seconds"),
        ({"deadline_seconds": 2**63 - 1}, "deadline_seconds"),
        ({"lock_wait_seconds": 2**31 - 1}, "lock_wait_seconds"),
    ],
)
def test_limits_of_a_plan_make_sense(api, owner, plan, change, field):
    assert set(errors(api(owner).patch(f"/api/plans/{plan.pk}/", change))) == {field}
    body = {"name": "more", "database": plan.database_id, "destination": plan.destination_id}
    assert set(errors(api(owner).post("/api/plans/", body | change))) == {field}


@pytest.mark.parametrize("noun", ["databases", "destinations", "plans"])
def test_a_name_is_unique_in_its_team_alone(
    api, owner, stranger, database, destination, plan, noun, tmp_path
):
    rows = {"databases": database, "destinations": destination, "plans": plan}
    same = {"name": rows[noun].name}
    more = {
        "databases": {"dbname": "x", "username": "x"},
        "destinations": {"options": {"folder": str(tmp_path)}},
        "plans": {"database": database.pk, "destination": destination.pk},
    }[noun]
    path = f"/api/{noun}/"
    assert set(errors(api(owner).post(path, same | more))) == {"name"}
    other = api(owner).post(path, more | {"name": "other"}).json()["id"]
    assert set(errors(api(owner).patch(f"{path}{other}/", same))) == {"name"}
    assert api(owner).patch(f"{path}{other}/", {"name": "other"}).status_code == 200
    if noun != "plans":
        assert api(stranger).post(path, same | more).status_code == 201


def test_rows_of_two_teams_are_not_mixed(api, owner, stranger, database, destination):
    elsewhere = Team.home_of(stranger)
    Membership.objects.create(user=owner, team=elsewhere, role=Role.ADMIN)
    theirs = Destination.objects.create(team=elsewhere, name="theirs", options={"folder": "/x"})
    body = {"name": "mixed", "database": database.pk, "destination": theirs.pk}
    assert set(errors(api(owner).post("/api/plans/", body))) == {"destination"}
    assert not Plan.objects.exists()


def test_a_row_stays_in_its_team(api, owner, stranger, database):
    elsewhere = Team.home_of(stranger)
    Membership.objects.create(user=owner, team=elsewhere, role=Role.ADMIN)
    path = f"/api/databases/{database.pk}/"
    assert set(errors(api(owner).patch(path, {"team": elsewhere.pk}))) == {"team"}


def test_what_is_in_use_is_not_deleted_and_its_holders_are_named(api, owner, backup):
    for path in (f"databases/{backup.database_id}", f"destinations/{backup.destination_id}"):
        answer = api(owner).delete(f"/api/{path}/")
        assert answer.status_code == 409
        assert "1 plan (nightly)" in answer.json()["detail"]
        assert "1 backup" in answer.json()["detail"]


def test_a_plan_is_not_deleted_while_its_backup_is_under_way(api, owner, backup):
    backup.task.status = Status.RUNNING
    backup.task.save()
    path = f"/api/plans/{backup.plan_id}/"
    assert api(owner).delete(path).status_code == 409
    backup.task.status = Status.SUCCEEDED
    backup.task.save()
    assert api(owner).delete(path).status_code == 204
    assert api(owner).get(f"/api/backups/{backup.pk}/").json()["plan"] is None


@pytest.mark.parametrize("noun", ["databases", "destinations", "plans"])
def test_rows_are_found_by_name(api, owner, plan, noun):
    name = {"databases": "shop", "destinations": "disk", "plans": "nightly"}[noun]
    assert api(owner).get(f"/api/{noun}/?name={name}").json()["count"] == 1
    assert api(owner).get(f"/api/{noun}/?name=other").json()["count"] == 0


@pytest.mark.parametrize("pk", ["0", "nine", "9" * 30, "-1"])
def test_ids_that_make_no_sense_are_not_found(api, owner, pk):
    assert api(owner).get(f"/api/databases/{pk}/").status_code == 404
    assert api(owner).get(f"/api/backups/{pk}/").status_code == 404
