"""MariaDB by real workers: backup, proof, restore, and what stays when they are killed."""

from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.models import Backup, Database, Plan, Proof
from backups.models.errors import RefusedError
from backups.pipeline.mysql import catalogue
from backups.tests.yard import REAL, child_of, everything_told, folder_at, kill
from tasks import transitions
from tasks.tests.crew import Crew, Work, crew, until
from tests import servers

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 3_000
CANCEL_SECONDS = 2.0
SHOP = f"""
    CREATE TABLE customers AS SELECT seq AS id, md5(seq) AS name FROM seq_1_to_500;
    CREATE TABLE notes (id int PRIMARY KEY, body mediumtext);
    INSERT INTO notes SELECT seq, repeat(md5(seq), 1000) FROM seq_1_to_{ROWS};
    CREATE TABLE plain (id int) ENGINE = MyISAM;
    CREATE VIEW seen AS SELECT count(*) AS n FROM notes;
"""
SESSIONS = """
    SELECT count(*) FROM information_schema.processlist
     WHERE id <> connection_id() AND db IS NOT NULL
"""


@pytest.fixture(scope="module")
def workers(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[Crew]:
    with (
        django_db_blocker.unblock(),
        crew(tmp_path_factory.mktemp("crew"), workers=2, **REAL) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def shop(mariadb):
    with servers.new_mariadb_database(mariadb, SHOP) as dbname:
        yield dbname


@pytest.fixture
def kept(tmp_path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def plan(transactional_db, team, mariadb, shop, kept, workers) -> Plan:
    database = Database.objects.create(
        team=team,
        name="shop",
        engine="mysql",
        host="127.0.0.1",
        port=mariadb.port,
        dbname=shop,
        username="root",
        password=mariadb.password,
    )
    return Plan.objects.create(
        team=team,
        name="nightly",
        database=database,
        destination=folder_at(team, kept),
        max_attempts=1,
    )


@pytest.fixture
def backup(plan) -> Backup:
    made = plan.start(by=None)
    assert Work(made.task).ends(60).status == "succeeded", Work(made.task).row.error
    made.refresh_from_db()
    return made


@pytest.fixture
def nothing_stays(mariadb):
    before = names(mariadb)
    yield
    assert names(mariadb) == before


def ask(mariadb, query: str):
    with mariadb.connect() as connected:
        return catalogue.query(connected, query)[0][0]


def names(mariadb) -> set[str]:
    with mariadb.connect() as connected:
        return set(
            catalogue.names(connected, "SELECT schema_name FROM information_schema.schemata")
        )


def proof_of(backup: Backup) -> Proof:
    proof = backup.prove(by=None)
    row = Work(proof.task).ends(120)
    assert row.status == "succeeded", row.error
    proof.refresh_from_db()
    return proof


def rewrite(kept: Path, backup: Backup, old: bytes, new: bytes) -> None:
    """Change the dump inside the object, and keep all checksums true."""
    path = kept / backup.key
    dump = gzip.decompress(path.read_bytes())
    assert old in dump
    changed = dump.replace(old, new, 1)
    path.write_bytes(gzip.compress(changed, 1))
    for name, content in {"raw": changed, "stored": path.read_bytes()}.items():
        backup.manifest[f"{name}_bytes"] = len(content)
        backup.manifest[f"{name}_sha256"] = hashlib.sha256(content).hexdigest()
    backup.save()


def test_it_works(plan, backup, kept, mariadb):
    work = Work(backup.task)
    assert backup.key.endswith(".sql.gz")
    assert backup.manifest["engine"] == "mysql"
    assert "MariaDB" in backup.server_version
    assert {name: table["rows"] for name, table in backup.tables.items()} == {
        "`customers`": 500,
        "`notes`": ROWS,
        "`plain`": 0,
    }
    assert "plain knows no transactions" in repr(work.history)
    assert mariadb.password not in everything_told(work)
    assert mariadb.password not in (kept / f"{backup.key}.manifest.json").read_text()

    proof = proof_of(backup)
    assert proof.verdict == "proven", proof.reason
    assert {row["verdict"] for row in proof.tables} == {"same"}

    restore = backup.restore(by=None, target=plan.database, dbname="shop_again")
    row = Work(restore.task).ends(90)
    try:
        assert row.status == "succeeded", row.error
        assert ask(mariadb, "SELECT n FROM shop_again.seen") == ROWS
    finally:
        mariadb.dropdb("shop_again")


def test_a_drill_tells_a_changed_row(backup, kept):
    rewrite(kept, backup, b"(7,'8f14e45fceea167a5a36dedd4bea2543')", b"(7,'" + b"0" * 32 + b"')")
    proof = proof_of(backup)
    assert proof.verdict == "differs"
    assert "`customers` has other content" in proof.reason


def test_a_drill_tells_a_table_that_the_server_does_not_take(backup, kept):
    rewrite(kept, backup, b"CREATE TABLE `plain` (", b"CREATE TABEL `plain` (")
    proof = proof_of(backup)
    assert proof.verdict == "broken"
    assert "syntax" in proof.reason


def test_a_source_newer_than_all_servers_here_is_undecided(backup):
    backup.manifest["traits"]["version"] = [99, 1, 0]
    backup.save()
    proof = backup.prove(by=None)
    Work(proof.task).ends(60)
    proof.refresh_from_db()
    assert proof.verdict == "undecided"
    assert "No MariaDB server of version 99.1 or later" in proof.reason


@pytest.mark.alone
def test_a_cancelled_backup_ends_on_the_server_too(plan, kept, mariadb):
    backup = plan.start(by=None)
    work = Work(backup.task)
    until(lambda: work.row.ended or work.row.progress_done > 20_000_000, 60, "bytes move")
    began = time.monotonic()
    assert transitions.cancel(work.row, by=None)
    assert work.ends(15).status == "cancelled"
    until(lambda: ask(mariadb, SESSIONS) == 0, CANCEL_SECONDS, "the session is gone")
    assert time.monotonic() - began < CANCEL_SECONDS + 1
    until(lambda: list(kept.iterdir()) == [], 10, "nothing is kept")


def begin_restore(plan, backup, mariadb) -> Work:
    """A restore whose hidden database is there, and holds not all yet."""
    restore = backup.restore(by=None, target=plan.database, dbname="made_here")
    work = Work(restore.task)
    until(lambda: begun(mariadb) or work.row.ended, 60, "the hidden database is there")
    assert not work.row.ended, work.row.error
    return work


def begun(mariadb) -> bool:
    return any("__restoring_" in name for name in names(mariadb))


@pytest.mark.alone
def test_a_cancelled_restore_leaves_nothing(plan, backup, mariadb, nothing_stays):
    work = begin_restore(plan, backup, mariadb)
    assert transitions.cancel(work.row, by=None)
    assert work.ends(15).status == "cancelled"
    until(lambda: not begun(mariadb), 15, "the hidden database is gone")
    until(lambda: ask(mariadb, SESSIONS) == 0, CANCEL_SECONDS, "the session is gone")


def test_a_killed_restore_is_done_again_and_leaves_no_second_one(
    plan, backup, mariadb, nothing_stays
):
    work = begin_restore(plan, backup, mariadb)
    kill(child_of(work))
    try:
        assert work.ends(90).status == "succeeded", work.row.error
        assert work.row.attempt == 2
        assert ask(mariadb, "SELECT n FROM made_here.seen") == ROWS
        until(lambda: not begun(mariadb), 15, "what the first attempt began is gone")
    finally:
        mariadb.dropdb("made_here")


def test_it_is_not_restored_into_another_kind_of_server(team, backup, postgres15):
    target = Database.objects.create(team=team, name="other", dbname="postgres", username="u")
    with pytest.raises(RefusedError, match="MySQL or MariaDB"):
        backup.restore(by=None, target=target, dbname="never")
