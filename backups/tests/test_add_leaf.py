"""A new engine and a new kind of storage are a leaf and a row each: nothing else knows names."""

from __future__ import annotations

import dataclasses
import io

import pytest
from django.core.management import call_command
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator

from backups import checks, first_start, variables
from backups.models import Backup, Database, Destination, Plan
from backups.notifications import words
from backups.pipeline.engines import ENGINES
from backups.pipeline.postgres.engine import PostgresEngine
from backups.storages import KINDS
from backups.storages.memory import MemoryStore
from backups.tests.test_choose_engine import FORM, NEW, body

pytestmark = pytest.mark.django_db

TAPE = {"reel": "nightly", "room": "cellar"}


class OracleEngine(PostgresEngine):
    """Another name for what there is."""

    name = "oracle"
    label = "Oracle"
    default_port = 1521
    tls_modes = ("tcps",)
    rights = "Oracle wants the role DATAPUMP_EXP_FULL_DATABASE."
    url = dataclasses.replace(
        PostgresEngine.url,
        variable="ORACLE_URL",
        schemes=("oracle",),
        form="oracle://user:password@host:1521/name",
    )

    def by_hand(self, opened: str) -> str:
        return f"{opened} | sqlplus restored"


def reel(options, key: str = "") -> str:
    return f"tape://{options.get('reel', '')}/{key}"


TAPES = dataclasses.replace(
    KINDS["local"],
    name="tape",
    label="Tape library",
    credential="Robot's password",
    build=lambda options, secret: MemoryStore(options["reel"]),
    address=reel,
    fetch=lambda options, key, file: f"mt-fetch {reel(options, key)} {file}",
    product=lambda options: f"Tape in the {options['room']}",
    guarded=("room",),
    variables={"reel": "TAPE_REEL", "room": "TAPE_ROOM", "secret": "TAPE_PASSWORD"},
    filed=frozenset({"room"}),
    schema={
        "type": "object",
        "required": ["reel"],
        "additionalProperties": False,
        "properties": {
            "reel": {"type": "string", "title": "Reel", "pattern": "^[a-z]+$", "refusal": "Small."},
            "room": {"type": "string", "title": "Room"},
        },
    },
)


@pytest.fixture(autouse=True)
def leaves(monkeypatch):
    monkeypatch.setitem(ENGINES, "oracle", OracleEngine())
    monkeypatch.setitem(KINDS, "tape", TAPES)


@pytest.fixture
def taped(backup) -> Backup:
    """A backup of the new engine in a place of the new kind."""
    Database.objects.update(engine="oracle")
    Destination.objects.update(kind="tape", name="tape", options=TAPE, secret="sesame")
    return Backup.objects.get(pk=backup.pk)


def test_it_works(api, owner):
    made = api(owner).post("/api/databases/", {**NEW, "engine": "oracle", "sslmode": "tcps"})
    assert made.status_code == 201, made.content
    assert (made.json()["engine"], made.json()["port"]) == ("oracle", 1521)
    place = {"name": "reels", "kind": "tape", "options": TAPE, "secret": "sesame"}
    kept = api(owner).post("/api/destinations/", place)
    assert kept.status_code == 201, kept.content
    wrong = api(owner).post("/api/destinations/", {**place, "name": "x", "options": {"reel": "7"}})
    assert wrong.json()["errors"] == {"options.reel": ["Small."]}


def test_no_migration_is_needed():
    told = io.StringIO()
    call_command("makemigrations", "--check", "--dry-run", stdout=told)
    assert "No changes" in told.getvalue()


def test_the_schema_and_the_filters_of_rest_know_them(api, owner, taped):
    schemas = SchemaGenerator().get_schema(request=None, public=True)["components"]["schemas"]
    assert schemas["EngineEnum"]["enum"][-1] == "oracle"
    assert "tape" in schemas["DestinationKindEnum"]["enum"]
    for address in ("/api/databases/?engine=oracle", "/api/destinations/?kind=tape"):
        assert api(owner).get(address).json()["count"] == 1


def test_a_receipt_tells_how_to_fetch_and_load_it_by_hand(client, viewer, taped):
    client.force_login(viewer)
    shown = body(client.get(reverse("backup", args=[taped.pk])))
    assert f"mt-fetch tape://nightly/{taped.key} {taped.key}" in shown
    assert f"gunzip -c {taped.key} | sqlplus restored" in shown
    assert "Oracle 15.10" in shown


def test_lists_show_them_by_their_labels(client, viewer, taped):
    client.force_login(viewer)
    assert "Oracle · 127.0.0.1" in body(client.get(reverse("databases")))
    assert "Tape library · tape://nightly/" in body(client.get(reverse("destinations")))


def test_the_form_of_a_database_offers_it_with_its_port_and_what_it_wants(client, owner):
    client.force_login(owner)
    shown = body(client.get(reverse("database_new")))
    assert '<option value="oracle" data-port="1521"' in shown
    assert f'data-engine="oracle"><p class="help">{OracleEngine.rights}' in shown
    made = client.post(reverse("database_new"), {**FORM, "engine": "oracle", "sslmode": "tcps"})
    assert made.status_code == 302, body(made)
    assert Database.objects.get().port == 1521


def test_the_form_of_a_destination_asks_what_it_wants_and_guards_its_secret(client, owner):
    client.force_login(owner)
    shown = body(client.get(reverse("destination_new")))
    assert 'name="tape-reel"' in shown
    assert "Robot&#x27;s password" in shown
    typed = {"name": "reels", "kind": "tape", "tape-reel": "nightly", "tape-secret": "sesame"}
    assert client.post(reverse("destination_new"), typed).status_code == 302
    edit = reverse("destination_edit", args=[Destination.objects.get().pk])
    moved = {**typed, "tape-room": "attic", "tape-secret": ""}
    assert "enter it again for the new one" in body(client.post(edit, moved))
    assert client.post(edit, {**moved, "tape-room": ""}).status_code == 302


def test_the_admin_offers_them(client, superuser, team):
    client.force_login(superuser)
    assert ">Oracle</option>" in body(client.get(reverse("admin:backups_database_add")))
    shown = body(client.get(reverse("admin:backups_destination_add")))
    assert ">Tape library</option>" in shown
    assert "tape: {reel, room}" in shown


def test_notifications_name_the_place_as_the_kind_does(taped):
    said = words.backup_completed(taped).text
    assert "Storage: Tape in the cellar (tape://nightly/)" in said
    Destination.objects.update(name="reels")
    taped = Backup.objects.get()
    assert "Storage: reels (tape://nightly/)" in words.backup_completed(taped).text


def test_a_first_start_registers_them_and_the_settings_know_their_variables(
    team, monkeypatch, tmp_path
):
    (tmp_path / "room").write_text("cellar\n")
    values = {
        "STORAGE": "tape",
        "TAPE_REEL": "nightly",
        "TAPE_ROOM_FILE": str(tmp_path / "room"),
        "TAPE_PASSWORD": "sesame",
        "ORACLE_URL": "oracle://keeper:hunter2@db/shop",
    }
    assert {*values, "TAPE_PASSWORD_FILE", "ORACLE_URL_FILE"} <= variables.names()
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert checks.check_environment()[-1].msg.startswith("ORACLE_URL names what is not registered")

    first_start.begin(team, first=True)

    plan = Plan.objects.get()
    assert (plan.database.engine, plan.database.port) == ("oracle", 1521)
    assert (plan.destination.kind, plan.destination.options) == ("tape", TAPE)
    assert plan.destination.secret.reveal() == "sesame"
    assert checks.check_environment() == []
