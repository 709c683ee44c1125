"""Starting, stopping and following backups, restores and proofs over REST."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backups.models import Backup, Proof, RefusedError, Restore
from tasks.models import Task
from tasks.states import Status

pytestmark = pytest.mark.django_db


def test_it_works(api, mate, plan):
    answer = api(mate).post(f"/api/plans/{plan.pk}/run/")
    assert answer.status_code == 202
    backup = Backup.objects.get()
    assert answer["Location"].endswith(f"/api/backups/{backup.pk}") or answer["Location"].endswith(
        f"/api/backups/{backup.pk}/"
    )
    body = answer.json()
    assert (body["id"], body["status"], body["complete"]) == (str(backup.pk), "queued", False)
    assert body["task"]["id"] == str(backup.task_id)
    assert body["task"]["status_url"].endswith(f"/task/status/{backup.task_id}")
    assert backup.task.owner == mate
    assert backup.task.status == Status.QUEUED


@pytest.mark.parametrize("door", ["/api/plans/{}/run/", "/api/backups/"])
def test_the_same_key_again_answers_the_same_backup(api, mate, plan, door):
    answers = [
        api(mate).post(
            door.format(plan.pk), {"plan": plan.pk}, headers={"Idempotency-Key": "monday"}
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert Task.objects.count() == Backup.objects.count() == 1


def test_the_same_key_for_another_plan_is_refused(api, mate, plan):
    other = type(plan).objects.create(
        team=plan.team, name="other", database=plan.database, destination=plan.destination
    )
    key = {"Idempotency-Key": "monday"}
    assert api(mate).post(f"/api/plans/{plan.pk}/run/", headers=key).status_code == 202
    assert api(mate).post(f"/api/plans/{other.pk}/run/", headers=key).status_code == 409
    assert Backup.objects.count() == 1


def test_keys_of_two_people_are_not_the_same(api, mate, owner, plan):
    for user in (mate, owner):
        answer = api(user).post(f"/api/plans/{plan.pk}/run/", headers={"Idempotency-Key": "monday"})
        assert answer.status_code == 202
    assert Backup.objects.count() == 2


def test_a_key_that_is_too_long_is_told(api, mate, plan):
    answer = api(mate).post(f"/api/plans/{plan.pk}/run/", headers={"Idempotency-Key": "k" * 201})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"Idempotency-Key"}


def test_a_plan_that_is_switched_off_is_refused(api, mate, plan):
    plan.enabled = False
    plan.save()
    answer = api(mate).post(f"/api/plans/{plan.pk}/run/")
    assert answer.status_code == 409
    assert "switched off" in answer.json()["detail"]
    assert not Task.objects.exists()


@pytest.mark.parametrize("door", ["/api/restores/", "/api/backups/{}/restore/"])
def test_a_backup_is_restored(api, mate, backup, database, door):
    body = {"backup": str(backup.pk), "target": database.pk, "dbname": "copy", "replace": True}
    answer = api(mate).post(door.format(backup.pk), body)
    assert answer.status_code == 202
    restore = Restore.objects.get()
    assert (restore.backup, restore.target, restore.dbname, restore.replace) == (
        backup,
        database,
        "copy",
        True,
    )
    assert answer.json()["task"]["id"] == str(restore.task_id)


@pytest.mark.parametrize("door", ["/api/proofs/", "/api/backups/{}/prove/"])
def test_a_backup_is_proven(api, mate, backup, door):
    answer = api(mate).post(door.format(backup.pk), {"backup": str(backup.pk)})
    assert answer.status_code == 202
    assert answer.json()["id"] == str(Proof.objects.get().pk)
    assert answer.json()["verdict"] == ""


@pytest.mark.parametrize("verb", ["restore", "prove"])
def test_an_unfinished_backup_is_neither_restored_nor_proven(api, mate, backup, database, verb):
    Backup.objects.update(completed_at=None)
    body = {"target": database.pk, "dbname": "copy"}
    answer = api(mate).post(f"/api/backups/{backup.pk}/{verb}/", body)
    assert answer.status_code == 409
    assert "not complete" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"target": None}, "target"),
        ({"target": 999}, "target"),
        ({"dbname": ""}, "dbname"),
        ({"dbname": "x" * 64}, "dbname"),
        ({"replace": "perhaps"}, "replace"),
        ({"backup": "no uuid"}, "backup"),
    ],
)
def test_a_restore_that_makes_no_sense_is_told_by_field(api, mate, backup, database, change, field):
    body = {"backup": str(backup.pk), "target": database.pk, "dbname": "copy"} | change
    answer = api(mate).post("/api/restores/", body)
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {field}
    assert not Restore.objects.exists()


@pytest.mark.parametrize("noun", ["backups", "restores", "proofs"])
def test_what_waits_is_cancelled_at_once(api, mate, backup, restore, proof, noun):
    row = {"backups": backup, "restores": restore, "proofs": proof}[noun]
    Task.objects.filter(pk=row.task_id).update(status=Status.QUEUED, finished_at=None)
    path = f"/api/{noun}/{row.pk}/cancel/"
    answer = api(mate).post(path)
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    assert api(mate).post(path).status_code == 409


def test_what_runs_is_asked_to_stop(api, mate, backup):
    Task.objects.filter(pk=backup.task_id).update(status=Status.RUNNING, finished_at=None)
    answer = api(mate).post(f"/api/backups/{backup.pk}/cancel/")
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert Task.objects.get(pk=backup.task_id).cancel_requested_at is not None


def test_a_backup_shows_its_receipt_its_proof_and_live_figures(api, viewer, backup, proof):
    Task.objects.filter(pk=backup.task_id).update(
        status=Status.RUNNING, progress_done=500, progress_total=1000, progress_rate=100.0
    )
    shown = api(viewer).get(f"/api/backups/{backup.pk}/").json()
    assert shown["stored_sha256"] == "b" * 64
    assert shown["tables"]["public.orders"]["rows"] == 3
    assert shown["manifest"] == {"format": 1}
    assert shown["last_proof"]["verdict"] == "proven"
    assert shown["task"]["progress"] == {
        "done": 500,
        "total": 1000,
        "unit": "bytes",
        "percent": 50.0,
        "rate": 100.0,
        "eta_seconds": 5.0,
    }


def test_a_row_without_its_task_still_says_how_it_ended(api, viewer, backup):
    Task.objects.all().delete()
    path = "/api/backups/?status="
    shown = api(viewer).get(path + "succeeded").json()["results"]
    assert [(row["status"], row["task"]) for row in shown] == [("succeeded", None)]
    Backup.objects.update(completed_at=None)
    assert api(viewer).get(path + "succeeded").json()["count"] == 0
    assert api(viewer).get(path + "failed").json()["results"][0]["status"] == "failed"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("database={database}", 1),
        ("database=999", 0),
        ("database=9223372036854775807", 0),
        ("database_name=shop", 1),
        ("database_name=other", 0),
        ("plan={plan}", 1),
        ("plan=999", 0),
        ("plan_name=nightly", 1),
        ("status=succeeded", 1),
        ("status=running", 0),
        ("complete=true", 1),
        ("complete=false", 0),
        ("created_at__gte={later}", 0),
        ("created_at__lt={later}", 1),
    ],
)
def test_backups_are_filtered(api, viewer, backup, query, count):
    later = (backup.created_at + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    filled = query.format(database=backup.database_id, plan=backup.plan_id, later=later)
    answer = api(viewer).get(f"/api/backups/?{filled}")
    assert (answer.status_code, answer.json()["count"]) == (200, count)


@pytest.mark.parametrize(
    "query", ["status=odd", "database=x", "database=-2.4e299", "created_at__gte=soon"]
)
def test_a_filter_that_makes_no_sense_is_told_by_field(api, viewer, query):
    answer = api(viewer).get(f"/api/backups/?{query}")
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {query.partition("=")[0]}


def test_backups_are_ordered_and_the_newest_comes_first(api, viewer, backup):
    older = Backup.objects.get(pk=backup.pk)
    older.pk, older.task, older.stored_bytes, older.raw_bytes = None, None, 1, 1
    older.pk = "00000000-0000-4000-8000-000000000000"
    older.save(force_insert=True)
    Backup.objects.filter(pk=older.pk).update(created_at=backup.created_at - timedelta(days=1))

    def listed(query: str) -> list[str]:
        rows = api(viewer).get(f"/api/backups/{query}").json()["results"]
        return [row["id"] for row in rows]

    assert listed("") == [str(backup.pk), older.pk]
    assert listed("?ordering=stored_bytes") == [older.pk, str(backup.pk)]


def test_a_list_takes_few_queries_however_long(api, viewer, backup, django_assert_max_num_queries):
    for number in range(8):
        Backup.objects.create(
            team=backup.team,
            database=backup.database,
            destination=backup.destination,
            task=Task.objects.create(team=backup.team, job="backup", title=str(number)),
        )
    with django_assert_max_num_queries(5):
        assert api(viewer).get("/api/backups/").json()["count"] == 9


def test_a_key_that_started_a_backup_answers_it_though_the_plan_is_off_by_now(plan, owner):
    first = plan.start(by=owner, idempotency_key="once")
    plan.enabled = False
    plan.save()
    assert plan.start(by=owner, idempotency_key="once") == first
    with pytest.raises(RefusedError):
        plan.start(by=owner, idempotency_key="twice")
    assert not Task.objects.filter(idempotency_key="twice").exists()
