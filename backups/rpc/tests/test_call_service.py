"""BackupService of a real daemon, with real workers and a real PostgreSQL."""

from __future__ import annotations

import grpc
import pytest

from backups.models import Backup, Database, Plan, Proof, Restore
from backups.rpc.tests.calls import refused
from tasks.models import Task
from tasks.states import Status
from tasks.tests.crew import Work, until

Code = grpc.StatusCode
pytestmark = pytest.mark.django_db(transaction=True)


def test_it_works(rpc, workers, shop, owner):
    with rpc.calls(owner) as calls:
        answer = calls.RunBackup(database="shop")
        assert answer.status == "backup completed"
        assert answer.backup.stored_bytes > 0
        assert Backup.objects.get(pk=answer.backup_id).complete


def test_progress_is_told_with_true_figures_until_the_end(rpc, workers, shop, mate):
    with rpc.calls(mate) as calls:
        begun = calls.RunBackup(database="shop", detach=True)
        assert begun.status == "backup accepted"
        updates = list(calls.StreamProgress(backup_id=begun.backup_id))
        backup = calls.GetBackup(backup_id=begun.backup_id)
    last = updates[-1]
    assert (last.status, last.ended, last.percent) == ("succeeded", True, 100.0)
    assert last.message == "backup completed"
    assert last.done == backup.raw_bytes > 0
    assert [one.seq for one in updates] == sorted(one.seq for one in updates)
    assert {one.rows for one in backup.tables} == {500, 100}


def test_the_newest_run_is_followed_where_none_is_named(rpc, workers, shop, viewer, owner):
    with rpc.calls(viewer) as calls:
        with refused(Code.NOT_FOUND, "No backup of shop"):
            list(calls.StreamProgress(database="shop"))
        Work(shop.start(by=owner).task).ends()
        newest = shop.start(by=owner)
        assert list(calls.StreamProgress(database="shop"))[-1].backup_id == str(newest.pk)
        assert Backup.objects.count() == 2, "following starts nothing"


def test_an_empty_name_means_the_only_database(rpc, workers, shop, owner, team):
    with rpc.calls(owner) as calls:
        assert calls.RunBackup().status == "backup completed"
        Database.objects.create(team=team, name="other", dbname="o", username="o")
        with refused(Code.INVALID_ARGUMENT, "other, shop"):
            calls.RunBackup()


def test_the_same_key_gives_the_same_backup(rpc, workers, shop, owner, team):
    other = Database.objects.create(team=team, name="other", dbname="o", username="o")
    Plan.objects.create(team=team, name="o", database=other, destination=shop.destination)
    with rpc.calls(owner) as calls:
        first = calls.RunBackup(database="shop", idempotency_key="k", detach=True)
        again = calls.RunBackup(database="shop", idempotency_key="k")
        assert again.backup_id == first.backup_id
        assert again.status == "backup completed"
        with refused(Code.ALREADY_EXISTS, "another request"):
            calls.RunBackup(database="other", idempotency_key="k")
    assert Backup.objects.count() == 1


def test_the_same_key_gives_the_same_proof(rpc, backup, mate, owner):
    other = Backup.objects.create(
        team=backup.team,
        plan=backup.plan,
        database=backup.database,
        destination=backup.destination,
        completed_at=backup.completed_at,
    )
    before = Proof.objects.count()
    asked = {"backup_id": str(backup.pk), "idempotency_key": "k", "detach": True}
    with rpc.calls(mate) as calls:
        first = calls.VerifyBackup(**asked)
        assert calls.VerifyBackup(**asked).id == first.id
        with refused(Code.ALREADY_EXISTS, "another request"):
            calls.VerifyBackup(**{**asked, "backup_id": str(other.pk)})
        with refused(Code.INVALID_ARGUMENT, "at most 200"):
            calls.VerifyBackup(**{**asked, "idempotency_key": "k" * 201})
        with refused(Code.ALREADY_EXISTS, "another request"):
            calls.RunBackup(database="shop", idempotency_key="k", detach=True)
    with rpc.calls(owner) as calls:
        assert calls.VerifyBackup(**asked).id != first.id, "keys are a person's own"
    assert Proof.objects.count() == before + 2


def test_the_same_key_gives_the_same_restore(rpc, backup, mate):
    asked = {"backup_id": str(backup.pk), "into": "a", "idempotency_key": "k", "detach": True}
    with rpc.calls(mate) as calls:
        first = calls.RestoreBackup(**asked)
        assert calls.RestoreBackup(**asked).id == first.id
        for change in ({"into": "b"}, {"replace": True}):
            with refused(Code.ALREADY_EXISTS, "another request"):
                calls.RestoreBackup(**{**asked, **change})
    assert Restore.objects.count() == 1


def test_a_backup_survives_a_caller_that_goes_away(rpc, workers, shop, owner):
    Database.objects.update(queue="nobody")
    with rpc.calls(owner) as calls:
        call = calls.waiting(database="shop")
        backup = until(Backup.objects.first, what="it is accepted")
        call.cancel()
    with rpc.calls(owner) as calls:
        assert calls.GetBackup(backup_id=str(backup.pk)).status == "queued"
    Task.objects.update(queue="default")
    assert Work(backup.task).ends().status == Status.SUCCEEDED


@pytest.mark.parametrize("method", ["RunBackup", "RestoreBackup", "VerifyBackup"])
def test_a_deadline_ends_the_call_and_not_the_work(rpc, waiting, backup, owner, method):
    pk = str(backup.pk)
    asked = {
        "RunBackup": {"database": "shop"},
        "RestoreBackup": {"backup_id": pk, "into": "copy"},
        "VerifyBackup": {"backup_id": pk},
    }
    with rpc.calls(owner) as calls, refused(Code.DEADLINE_EXCEEDED, "goes on"):
        getattr(calls, method)(**asked[method], timeout=2.0)
    assert Task.objects.exclude(pk=backup.task_id).get().status == Status.QUEUED


def test_a_failure_tells_the_task_s_sentence(rpc, workers, plan, owner):
    plan.max_attempts = 1
    plan.save()
    with rpc.calls(owner) as calls:
        with refused(Code.ABORTED) as raised:
            calls.RunBackup(database="shop")
        backup = calls.ListBackups(status="failed").backups[0]
        last = list(calls.StreamProgress(backup_id=backup.id))[-1]
    assert raised.value.details() == Task.objects.get().error == backup.error == last.error
    assert last.ended
    assert "s3cret" not in raised.value.details()


def test_a_cancelled_backup_ends_the_wait(rpc, waiting, mate):
    with rpc.calls(mate) as calls:
        call = calls.waiting(database="shop")
        pk = str(until(Backup.objects.first, what="it is accepted").pk)
        assert calls.CancelBackup(backup_id=pk).status == "cancelled"
        with refused(Code.CANCELLED, "cancelled"):
            call.result()
        with refused(Code.FAILED_PRECONDITION, "ended already: cancelled"):
            calls.CancelBackup(backup_id=pk)


def test_a_backup_is_restored_and_proven(rpc, workers, shop, owner, postgres15):
    with rpc.calls(owner) as calls:
        pk = calls.RunBackup(database="shop").backup_id
        try:
            restore = calls.RestoreBackup(backup_id=pk, into="rpc_copy")
            assert (restore.status, restore.target) == ("succeeded", "shop")
            with postgres15.connect("rpc_copy") as connection:
                assert connection.execute("SELECT count(*) FROM notes").fetchone()[0] == 100
        finally:
            postgres15.dropdb("rpc_copy")
        proof = calls.VerifyBackup(backup_id=pk, timeout=60)
        assert (proof.verdict, proof.tables, proof.rows) == ("proven", 2, 600)
        assert calls.GetBackup(backup_id=pk).last_proof.id == proof.id
        [database] = calls.ListDatabases().databases
        assert database.plans == ["nightly"]
        assert database.last_proven_at.seconds


def test_what_makes_no_sense_is_refused(rpc, plan, backup, owner):
    with rpc.calls(owner) as calls:
        with refused(Code.NOT_FOUND, "nowhere"):
            calls.RunBackup(database="nowhere")
        with refused(Code.NOT_FOUND, "plan called weekly"):
            calls.RunBackup(database="shop", plan="weekly")
        with refused(Code.INVALID_ARGUMENT, "no id"):
            calls.GetBackup(backup_id="7")
        with refused(Code.NOT_FOUND, "no backup"):
            calls.GetBackup(backup_id="00000000-0000-0000-0000-000000000000")
        with refused(Code.INVALID_ARGUMENT, "into"):
            calls.RestoreBackup(backup_id=str(backup.pk))
        with refused(Code.INVALID_ARGUMENT, "status"):
            calls.ListBackups(status="lost")
        plan.enabled = False
        plan.save()
        with refused(Code.FAILED_PRECONDITION, "switched off"):
            calls.RunBackup(database="shop")
        Backup.objects.update(completed_at=None)
        with refused(Code.FAILED_PRECONDITION, "not complete"):
            calls.VerifyBackup(backup_id=str(backup.pk))


def test_backups_are_listed_by_pages(rpc, waiting, owner):
    started = [str(waiting.start(by=owner).pk) for _ in range(5)][::-1]
    with rpc.calls(owner) as calls:
        found, token = [], ""
        while True:
            page = calls.ListBackups(page_size=2, page_token=token)
            assert len(page.backups) <= 2
            found += [one.id for one in page.backups]
            token = page.next_page_token
            if not token:
                break
    assert found == started


def test_a_restore_into_another_engine_is_refused(rpc, mate, backup, team):
    Database.objects.create(team=team, name="wiki", engine="mysql", dbname="w", username="w")
    with rpc.calls(mate) as calls, refused(Code.INVALID_ARGUMENT, "wiki is MySQL or MariaDB"):
        calls.RestoreBackup(backup_id=str(backup.pk), into="copy", target="wiki")
    with rpc.calls(mate) as calls:
        engines = {one.name: one.engine for one in calls.ListDatabases().databases}
    assert engines == {"shop": "postgres", "wiki": "mysql"}
