"""Restores and drills by real workers: what comes back, and what is told where it can't."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.models import Backup, Proof
from backups.tests.yard import REAL, SHOP, Yard, folder_at, plan_for
from tasks import transitions
from tasks.tests.crew import Crew, Work, crew, until
from tests import servers

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 2_000
LEFT = "SELECT count(*) FROM pg_database WHERE datname LIKE '%restoring%'"


@pytest.fixture(scope="module")
def workers(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[Crew]:
    with (
        django_db_blocker.unblock(),
        crew(tmp_path_factory.mktemp("crew"), workers=2, **REAL) as running,
    ):
        yield running


@pytest.fixture
def kept(tmp_path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def yard(transactional_db, team, postgres15, kept, workers) -> Iterator[Yard]:
    with servers.new_database(postgres15, SHOP.format(rows=ROWS)) as dbname:
        plan = plan_for(team, postgres15, dbname, folder_at(team, kept))
        yield Yard(server=postgres15, plan=plan, crew=workers)


@pytest.fixture
def backup(yard) -> Backup:
    made, work = yard.start()
    assert work.ends(60).status == "succeeded", work.row.error
    made.refresh_from_db()
    return made


def rewrite(kept: Path, backup: Backup, old: bytes, new: bytes) -> None:
    """Change the dump inside the object, and keep all checksums true: what a faulty source or a
    clever forger would leave."""
    path = kept / backup.key
    dump = gzip.decompress(path.read_bytes())
    assert old in dump
    changed = dump.replace(old, new, 1)
    path.write_bytes(gzip.compress(changed, 1))
    digests = {"raw": changed, "stored": path.read_bytes()}
    for name, content in digests.items():
        backup.manifest[f"{name}_bytes"] = len(content)
        backup.manifest[f"{name}_sha256"] = sha256(content)
    backup.save()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def proof_of(backup: Backup) -> Proof:
    proof = backup.prove(by=None)
    row = Work(proof.task).ends(90)
    assert row.status == "succeeded", row.error
    proof.refresh_from_db()
    return proof


def test_it_works(yard, backup, postgres15):
    database = yard.plan.database
    restore = backup.restore(by=None, target=database, dbname=f"{database.dbname}_copy")
    row = Work(restore.task).ends(60)
    restore.refresh_from_db()
    try:
        assert row.status == "succeeded", row.error
        assert restore.completed_at
        with postgres15.connect(restore.dbname) as connection:
            assert connection.execute("SELECT count(*) FROM notes").fetchone() == (ROWS,)
    finally:
        postgres15.dropdb(restore.dbname)


def test_a_drill_proves_a_good_backup(backup):
    proof = proof_of(backup)
    assert proof.verdict == "proven", proof.reason
    assert {row["table"]: row["verdict"] for row in proof.tables} == {
        "public.customers": "same",
        "public.notes": "same",
    }
    assert proof.completed_at


def test_a_drill_tells_a_changed_row(backup, kept):
    rewrite(kept, backup, b"\n7\t8f14e45fceea167a5a36dedd4bea2543", b"\n7\t" + b"0" * 32)
    proof = proof_of(backup)
    assert proof.verdict == "differs"
    assert "public.customers" in proof.reason


def test_a_drill_tells_a_lost_row(backup, kept):
    line = b"\n7\t8f14e45fceea167a5a36dedd4bea2543"
    rewrite(kept, backup, line, b"")
    proof = proof_of(backup)
    assert proof.verdict == "differs"
    assert "public.customers has 499 rows instead of 500" in proof.reason


def test_a_flipped_byte_breaks_the_proof_and_the_restore(yard, backup, kept, postgres15):
    path = kept / backup.key
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    proof = proof_of(backup)
    assert proof.verdict == "broken"
    restore = backup.restore(by=None, target=yard.plan.database, dbname="never_made")
    row = Work(restore.task).ends(60)
    assert row.status == "failed"
    assert backup.key in row.error or "gzip" in row.error
    with postgres15.connect() as connection:
        assert connection.execute(LEFT).fetchone() == (0,)
        names = connection.execute("SELECT datname FROM pg_database").fetchall()
    assert ("never_made",) not in names


def test_a_missing_object_leaves_the_backup_undecided(backup, kept):
    (kept / backup.key).unlink()
    proof = backup.prove(by=None)
    work = Work(proof.task)
    assert work.ends(60).status == "failed"
    until(lambda: Proof.objects.get(pk=proof.pk).verdict, what="the verdict is written")
    proof.refresh_from_db()
    assert proof.verdict == "undecided"
    assert backup.key in proof.reason


def test_a_cancelled_restore_leaves_no_database(yard, backup, postgres15):
    database = yard.plan.database
    with postgres15.connect() as connection:
        restore = backup.restore(by=None, target=database, dbname="never_made")
        work = Work(restore.task)
        until(lambda: connection.execute(LEFT).fetchone() == (1,), what="the restore begins")
        transitions.cancel(work.row, by=None)
        assert work.ends().status == "cancelled"
        until(lambda: connection.execute(LEFT).fetchone() == (0,), 5, "the database is dropped")


def test_an_existing_database_is_not_overwritten(yard, backup):
    database = yard.plan.database
    restore = backup.restore(by=None, target=database, dbname=database.dbname)
    work = Work(restore.task)
    assert work.ends().status == "failed"
    assert "already has a database" in work.row.error
    assert len(work.attempts) == 1
