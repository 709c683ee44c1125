"""Forms: what they take, what they refuse and where they say so, and what becomes of secrets."""

from __future__ import annotations

import pytest

from accounts.models import Membership, Role, Team
from backups.models import Database, Destination, Plan
from backups.tests.conftest import PASSWORD, SECRET

pytestmark = pytest.mark.django_db

SHOP = {
    "name": "shop",
    "engine": "postgres",
    "host": "db1",
    "port": "5432",
    "dbname": "shop",
    "username": "keeper",
    "password": PASSWORD,
    "sslmode": "",
    "queue": "default",
}
BUCKET = {
    "name": "bucket",
    "kind": "s3",
    "s3-bucket": "backups",
    "s3-endpoint": "http://127.0.0.1:1",
    "s3-access_key": "AKIA",
    "s3-region": "eu-central-1",
    "s3-path_style": "true",
}


@pytest.fixture
def send(client, owner):
    """send("/databases/new", SHOP, port="x"): as an admin."""
    client.force_login(owner)

    def post(path: str, data: dict, **changes):
        return client.post(path, data | changes)

    return post


def body(answer) -> str:
    return answer.content.decode()


def test_it_works(send, team):
    answer = send("/databases/new", SHOP)
    made = Database.objects.get()
    assert answer.url == f"/databases/{made.pk}"
    assert (made.team, made.host, made.password.reveal()) == (team, "db1", PASSWORD)


def test_an_empty_password_keeps_the_stored_one(send, database):
    send(
        f"/databases/{database.pk}/edit",
        SHOP,
        host=database.host,
        port=database.port,
        dbname="other",
        password="",
    )
    database.refresh_from_db()
    assert database.dbname == "other"
    assert database.password.reveal() == PASSWORD


@pytest.mark.parametrize("change", [{"host": "evil"}, {"port": "5433"}, {"username": "postgres"}])
def test_a_new_address_wants_the_password_again(send, database, change):
    same = SHOP | {"host": database.host, "port": database.port, "password": ""}
    answer = send(f"/databases/{database.pk}/edit", same, **change)
    assert "enter it again" in body(answer)
    database.refresh_from_db()
    assert (database.host, database.port, database.username) == ("127.0.0.1", 1, "keeper")


def test_a_name_is_given_once_in_a_team(send, database):
    answer = send("/databases/new", SHOP)
    assert "Another database has this name." in body(answer)
    assert Database.objects.count() == 1


def test_another_team_may_use_the_same_name(send, stranger):
    Database.objects.create(
        team=Team.objects.get(name="Elsewhere"), name="shop", dbname="s", username="u"
    )
    assert send("/databases/new", SHOP).status_code == 302


def test_who_is_in_two_teams_says_which(send, owner, team):
    second = Team.objects.create(name="Second")
    Membership.objects.create(user=owner, team=second, role=Role.ADMIN)
    assert "Team" in body(send("/databases/new", SHOP))
    send("/databases/new", SHOP, team=second.pk)
    assert Database.objects.get().team == second


def test_nothing_is_made_for_a_team_one_may_not_change(send, owner):
    second = Team.objects.create(name="Second")
    Membership.objects.create(user=owner, team=second, role=Role.OPERATOR)
    send("/databases/new", SHOP, team=second.pk)
    assert not Database.objects.filter(team=second).exists()


def test_a_wrong_field_says_what_is_wrong_beside_it(send):
    answer = send("/databases/new", SHOP, name="../etc")
    page = body(answer)
    assert 'id="id_name_error"' in page
    assert 'aria-invalid="true"' in page
    assert PASSWORD not in page


def test_trying_out_tells_the_sentence_and_saves_nothing(send):
    answer = send("/databases/new", SHOP, host="127.0.0.1", port="1", do="test")
    page = body(answer)
    assert "127.0.0.1" in page
    assert 'class="notice bad"' in page
    assert PASSWORD not in page
    assert not Database.objects.exists()


def test_trying_out_from_a_script_answers_the_sentence_alone(client, owner):
    client.force_login(owner)
    data = SHOP | {"host": "127.0.0.1", "port": "1", "do": "test"}
    page = body(client.post("/databases/new", data, headers={"X-Backdrop-Check": "1"}))
    assert "<html" not in page
    assert 'class="notice bad"' in page


def test_trying_out_never_sends_a_stored_password_elsewhere(send, database):
    path = f"/databases/{database.pk}/edit"
    page = body(send(path, SHOP, host="127.0.0.2", port="1", password="", do="test"))
    assert "enter it again" in page


def test_trying_out_a_folder_works(send, tmp_path):
    data = {"name": "disk", "kind": "local", "local-folder": str(tmp_path), "do": "test"}
    page = body(send("/destinations/new", data))
    assert "read back and removed" in page
    assert not Destination.objects.exists()


def test_a_folder_becomes_a_destination(send, tmp_path):
    send("/destinations/new", {"name": "disk", "kind": "local", "local-folder": str(tmp_path)})
    made = Destination.objects.get()
    assert (made.kind, made.options) == ("local", {"folder": str(tmp_path)})


def test_a_bucket_becomes_a_destination(send):
    send("/destinations/new", BUCKET | {"s3-secret": SECRET})
    made = Destination.objects.get()
    assert made.options == {
        "bucket": "backups",
        "endpoint": "http://127.0.0.1:1",
        "access_key": "AKIA",
        "region": "eu-central-1",
        "path_style": True,
    }
    assert made.secret.reveal() == SECRET


def test_what_a_kind_refuses_is_told_beside_its_field(send):
    page = body(send("/destinations/new", BUCKET, **{"s3-bucket": "NO BUCKET"}))
    assert "A bucket&#x27;s name has" in page
    assert "Enter the secret key." in page
    assert not Destination.objects.exists()


def test_a_bucket_at_google_becomes_a_destination(send):
    key = '{"type": "service_account", "client_email": "a", "private_key": "b", "token_uri": "c"}'
    google = {"name": "google", "kind": "gcs", "gcs-bucket": "backups", "gcs-prefix": "daily"}
    assert "this machine&#x27;s own identity" in body(send("/destinations/new", {}))
    assert "no key of a service account" in body(
        send("/destinations/new", google, **{"gcs-secret": '{"type": "external_account"}'})
    )
    assert not Destination.objects.exists()
    send("/destinations/new", google, **{"gcs-secret": key})
    made = Destination.objects.get()
    assert (made.kind, made.options) == ("gcs", {"bucket": "backups", "prefix": "daily"})
    assert made.secret.reveal() == key
    send(f"/destinations/{made.pk}/edit", google, **{"gcs-prefix": "hourly"})
    made.refresh_from_db()
    assert (made.options["prefix"], made.secret.reveal()) == ("hourly", key)


def test_an_empty_secret_keeps_the_stored_one(send, bucket):
    send(f"/destinations/{bucket.pk}/edit", BUCKET, **{"s3-bucket": "others"})
    bucket.refresh_from_db()
    assert bucket.options["bucket"] == "others"
    assert bucket.secret.reveal() == SECRET


def test_a_new_endpoint_wants_the_secret_again(send, bucket):
    page = body(
        send(f"/destinations/{bucket.pk}/edit", BUCKET, **{"s3-endpoint": "http://127.0.0.2:1"})
    )
    assert "enter it again" in page
    bucket.refresh_from_db()
    assert bucket.options["endpoint"] == "http://127.0.0.1:1"


def test_a_plan_ties_a_database_to_a_destination(send, database, destination):
    answer = send("/plans/new", plan_of(database, destination))
    made = Plan.objects.get()
    assert (made.database, made.destination, made.compression) == (database, destination, "zstd")
    assert answer.url == f"/databases/{database.pk}"


def test_a_plan_takes_nothing_of_strangers(send, database, destination, stranger):
    elsewhere = Team.objects.get(name="Elsewhere")
    theirs = Destination.objects.create(
        team=elsewhere, name="theirs", kind="local", options={"folder": "/tmp/x"}
    )
    assert send("/plans/new", plan_of(database, theirs)).status_code == 200
    assert not Plan.objects.exists()
    assert "theirs" not in body(send("/plans/new", {}))


def test_a_link_fills_in_the_database(client, owner, database):
    client.force_login(owner)
    page = body(client.get(f"/plans/new?database={database.pk}"))
    assert f'<option value="{database.pk}" selected>shop</option>' in page


def plan_of(database, destination) -> dict[str, object]:
    return {
        "name": "nightly",
        "database": database.pk,
        "destination": destination.pk,
        "compression": "zstd",
        "enabled": "on",
        "max_attempts": "3",
        "stall_seconds": "600",
        "lock_wait_seconds": "60",
    }
