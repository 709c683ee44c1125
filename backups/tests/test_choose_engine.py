"""What the doors make of a database's engine: its port, its words for TLS, and what fits it."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.urls import reverse

from backups.models import Backup, Database, Restore
from backups.pipeline.engines import ENGINES
from backups.pipeline.mysql import catalogue
from backups.tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

NEW = {"name": "books", "dbname": "books", "username": "keeper", "host": "db1"}
FORM = {**NEW, "port": "", "password": PASSWORD, "sslmode": "", "queue": "default"}
USUAL = [("postgres", 5432), ("mysql", 3306)]


@pytest.fixture
def maria(team) -> Database:
    """At a port where nobody answers."""
    return Database.objects.create(
        team=team, name="wiki", engine="mysql", host="127.0.0.1", port=1, dbname="w", username="w"
    )


def body(response) -> str:
    return response.content.decode()


def test_it_works(api, owner):
    answer = api(owner).post("/api/databases/", {**NEW, "engine": "mysql"})
    assert answer.status_code == 201, answer.content
    assert (answer.json()["engine"], answer.json()["port"]) == ("mysql", 3306)
    assert Database.objects.get().port == 3306


def test_every_engine_can_be_chosen_and_is_called_alike_everywhere():
    field = Database._meta.get_field("engine")
    assert list(field.choices) == [(engine.name, engine.label) for engine in ENGINES.values()]


@pytest.mark.parametrize(("engine", "port"), USUAL)
def test_the_page_takes_the_usual_port_where_none_is_typed(client, owner, engine, port):
    client.force_login(owner)
    client.post(reverse("database_new"), {**FORM, "engine": engine})
    assert Database.objects.get().port == port


@pytest.mark.parametrize(("engine", "port"), USUAL)
def test_the_admin_takes_the_usual_port_where_none_is_typed(client, superuser, team, engine, port):
    client.force_login(superuser)
    typed = {**FORM, "engine": engine, "team": team.pk}
    answer = client.post(reverse("admin:backups_database_add"), typed)
    assert answer.status_code == 302, body(answer)
    assert Database.objects.get().port == port


def test_an_emptied_port_that_was_another_wants_the_password_again(client, owner, database):
    Database.objects.filter(pk=database.pk).update(port=5433)
    client.force_login(owner)
    edit = reverse("database_edit", args=[database.pk])
    typed = {**FORM, "engine": "postgres", "host": database.host, "password": ""}

    assert "enter it again for the new one" in body(client.post(edit, typed))

    Database.objects.filter(pk=database.pk).update(port=5432)
    assert client.post(edit, typed).status_code == 302


@pytest.mark.parametrize("engine", list(ENGINES))
def test_each_engine_has_its_own_words_for_tls(api, owner, engine):
    new = {**NEW, "engine": engine}
    for word in ENGINES[engine].tls_modes:
        answer = api(owner).post("/api/databases/", {**new, "name": word, "sslmode": word})
        assert answer.status_code == 201, answer.content
    answer = api(owner).post("/api/databases/", {**new, "sslmode": "perhaps"})
    assert answer.status_code == 400
    assert ", ".join(ENGINES[engine].tls_modes) in answer.json()["errors"]["sslmode"][0]


def test_a_word_of_another_engine_is_refused(api, owner, client):
    foreign = set(ENGINES["postgres"].tls_modes) - set(ENGINES["mysql"].tls_modes)
    word = sorted(foreign)[0]
    answer = api(owner).post("/api/databases/", {**NEW, "engine": "mysql", "sslmode": word})
    assert set(answer.json()["errors"]) == {"sslmode"}

    client.force_login(owner)
    typed = {**FORM, "engine": "mysql", "sslmode": word}
    assert "Use one of" in body(client.post(reverse("database_new"), typed))
    assert not Database.objects.exists()


def test_databases_are_found_by_their_engine(api, owner, database, maria):
    found = api(owner).get("/api/databases/?engine=mysql").json()["results"]
    assert [row["name"] for row in found] == ["wiki"]
    assert api(owner).get("/api/databases/?engine=oracle").status_code == 400


def test_the_engine_stays_once_there_are_backups(api, owner, maria, backup):
    path = f"/api/databases/{backup.database_id}/"
    answer = api(owner).patch(path, {"engine": "mysql"})
    assert "It has backups of PostgreSQL" in answer.json()["errors"]["engine"][0]
    assert api(owner).patch(path, {"host": "db2", "password": PASSWORD}).status_code == 200
    changed = api(owner).patch(f"/api/databases/{maria.pk}/", {"engine": "postgres"})
    assert changed.status_code == 200, changed.content


def test_a_wrong_engine_is_told_and_nothing_else(team):
    odd = Database(team=team, name="odd", engine="oracle", dbname="o", username="o", port=1)
    with pytest.raises(ValidationError) as refused:
        odd.full_clean()
    assert set(refused.value.message_dict) == {"engine"}


def test_what_has_to_be_granted_and_can_be_said_of_tls_is_written_down(client, owner):
    readme = (settings.BASE_DIR / "README.md").read_text().split("## MySQL and MariaDB")[1]
    client.force_login(owner)
    for text in (readme, body(client.get(reverse("database_new")))):
        assert ", ".join(catalogue.NEEDED) in text
        assert "mysql.proc" in text
        assert "SHOW_ROUTINE" in text
    told = next(line for line in readme.splitlines() if line.startswith("| TLS |"))
    assert all(f"`{word}`" in told for word in ENGINES["mysql"].tls_modes)


@pytest.mark.parametrize("door", ["/api/restores/", "/api/backups/{}/restore/"])
def test_a_restore_into_another_engine_is_refused(api, owner, backup, maria, door):
    wish = {"backup": str(backup.pk), "target": maria.pk, "dbname": "copy"}

    answer = api(owner).post(door.format(backup.pk), wish)

    assert answer.status_code == 400, answer.content
    [sentence] = answer.json()["errors"]["target"]
    assert "is a backup of PostgreSQL and wiki is MySQL or MariaDB. Choose a server" in sentence
    assert not Restore.objects.exists()


def test_forms_offer_only_servers_that_fit(client, superuser, team, backup, maria):
    client.force_login(superuser)
    for address in ("backup_restore", "admin:backups_backup_restore"):
        shown = body(client.get(reverse(address, args=[backup.pk])))
        assert f'<option value="{backup.database_id}"' in shown
        assert f'<option value="{maria.pk}"' not in shown


def test_pages_name_the_engine_and_a_port_that_is_not_usual(client, viewer, maria):
    client.force_login(viewer)
    index = reverse("databases")
    assert "MySQL or MariaDB · 127.0.0.1:1/w" in body(client.get(index))
    Database.objects.update(port=3306)
    assert "MySQL or MariaDB · 127.0.0.1/w" in body(client.get(index))


def test_a_receipt_tells_how_to_load_it_with_the_programs_of_its_engine(client, viewer, backup):
    Database.objects.update(engine="mysql")
    client.force_login(viewer)
    shown = body(client.get(reverse("backup", args=[backup.pk])))
    assert f"gunzip -c {backup.key} | mariadb restored" in shown
    assert "psql" not in shown
    assert Backup.objects.get().database.get_engine_display() in shown
