"""A real MariaDB through the doors: tried out, backed up, proven, restored by real workers."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from django.urls import reverse

from backups import connections
from backups.first_start import begin
from backups.models import Backup, Database, Destination, Plan, Proof, Restore
from backups.tests.yard import REAL, folder_at
from tasks.models import Task
from tasks.states import Status
from tasks.tests.crew import Work, crew
from tests import servers

pytestmark = pytest.mark.django_db(transaction=True)

WIKI = """
    CREATE TABLE pages (id int PRIMARY KEY, title text) ENGINE=InnoDB;
    INSERT INTO pages SELECT seq, md5(seq) FROM seq_1_to_300;
    CREATE TABLE hits (page int, day date) ENGINE=MyISAM;
    INSERT INTO hits SELECT seq, '2026-01-01' FROM seq_1_to_40;
"""
SECONDS = 60
ROWS = {"pages": 300, "hits": 40}


@pytest.fixture
def workers(transactional_db, tmp_path):
    with crew(tmp_path, workers=2, **REAL) as running:
        yield running


@pytest.fixture
def wiki(mariadb):
    with servers.new_mariadb_database(mariadb, WIKI) as dbname:
        yield mariadb.server(dbname)


@pytest.fixture
def disk(team, tmp_path) -> Destination:
    return folder_at(team, tmp_path / "kept")


@pytest.fixture
def registered(team, wiki) -> Database:
    return Database.objects.create(
        team=team,
        name="wiki",
        engine="mysql",
        host=wiki.host,
        port=wiki.port,
        dbname=wiki.dbname,
        username=wiki.user,
        password=str(wiki.password),
    )


def ends(answer) -> Task:
    assert answer.status_code == 202, answer.content
    task = Work(Task.objects.get(pk=answer.json()["task"]["id"])).ends(SECONDS)
    assert task.status == Status.SUCCEEDED, task.error
    return task


def rows_of(server, dbname: str, table: str) -> int:
    with server.connect(dbname) as connected, connected.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return cursor.fetchone()[0]


def test_it_works(api, owner, workers, disk, registered, mariadb):
    client = api(owner)
    plan = Plan.objects.create(team=disk.team, name="p", database=registered, destination=disk)

    ends(client.post(f"/api/plans/{plan.pk}/run/"))
    backup = Backup.objects.get()
    assert backup.key.startswith("wiki_")
    assert backup.key.endswith(".sql.gz")
    assert {name.strip("`"): table["rows"] for name, table in backup.tables.items()} == ROWS

    ends(client.post(f"/api/backups/{backup.pk}/prove/"))
    assert Proof.objects.get().verdict == Proof.Verdict.PROVEN, Proof.objects.get().reason

    name = f"{registered.dbname}_copy"
    try:
        ends(
            client.post(
                f"/api/backups/{backup.pk}/restore/", {"target": registered.pk, "dbname": name}
            )
        )
        assert Restore.objects.get().completed_at is not None
        assert {table: rows_of(mariadb, name, table) for table in ROWS} == ROWS
    finally:
        mariadb.dropdb(name)


def test_trying_it_out_tells_what_a_dump_of_it_is_not(api, client, owner, registered):
    answer = api(owner).post(f"/api/databases/{registered.pk}/check/")
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["engine"], "MariaDB" in told["server_version"]) == ("mysql", True)
    [warning] = told["warnings"]
    assert warning.startswith("The engine of hits knows no transactions")

    client.force_login(owner)
    check = reverse("database_check", args=[registered.pk])
    page = client.post(check, follow=True).content.decode()
    assert "Connected: MySQL or MariaDB" in page
    assert "hits knows no transactions" in page


def test_too_few_rights_are_named(api, owner, registered, mariadb):
    servers.run_script(
        mariadb,
        registered.dbname,
        f"""
        CREATE USER narrow@'%' IDENTIFIED BY 'narrow';
        GRANT SELECT, EVENT ON {registered.dbname}.* TO narrow@'%';
        """,
    )
    try:
        Database.objects.update(username="narrow")
        registered.refresh_from_db()
        registered.password = "narrow"
        registered.save()
        answer = api(owner).post(f"/api/databases/{registered.pk}/check/")
    finally:
        servers.run_script(mariadb, "mysql", "DROP USER narrow@'%';")

    assert answer.status_code == 422
    assert "it lacks SHOW VIEW, TRIGGER, SELECT ON mysql.proc." in answer.json()["detail"]


def test_the_form_tries_out_what_was_typed(client, owner, wiki):
    client.force_login(owner)
    typed = {
        "name": "wiki",
        "engine": "mysql",
        "host": wiki.host,
        "port": str(wiki.port),
        "dbname": wiki.dbname,
        "username": wiki.user,
        "password": str(wiki.password),
        "sslmode": "disable",
        "queue": "default",
    }
    page = client.post(reverse("database_new"), {**typed, "do": "test"}).content.decode()
    assert "Connected: MySQL or MariaDB" in page
    assert not Database.objects.exists()

    client.post(reverse("database_new"), typed)
    assert Database.objects.get().sslmode == "disable"


def test_an_address_in_the_environment_reaches_it(team, wiki, monkeypatch, settings, tmp_path):
    settings.BACKUP_DIR = tmp_path / "kept"
    login = f"{wiki.user}:{quote(str(wiki.password), safe='')}"
    url = f"mariadb://{login}@{wiki.host}:{wiki.port}/{wiki.dbname}?ssl-mode=PREFERRED"
    monkeypatch.setenv("MYSQL_URL", url)

    begin(team, first=True)

    plan = Plan.objects.get()
    assert plan.database.sslmode == "prefer"
    assert "MariaDB" in connections.check_database(plan.database).server_version


def test_a_postgres_at_that_port_is_told_apart(api, owner, registered, postgres15):
    Database.objects.update(host="127.0.0.1", port=postgres15.server("postgres").port)
    answer = api(owner).post(f"/api/databases/{registered.pk}/check/")
    assert answer.status_code == 422
    assert str(registered.password.reveal()) not in answer.content.decode()
