"""The one sentence about all databases, and what it is made of."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backups import health
from backups.models import Backup, Database, Proof
from backups.tests.conftest import ended
from tasks.models import Task
from tasks.states import Status

pytestmark = pytest.mark.django_db


def judge() -> tuple[str, str]:
    found = health.headline(health.protections(Database.objects.all()))
    return found.tone, found.sentence


def another(team, name: str) -> Database:
    return Database.objects.create(team=team, name=name, dbname=name, username="u")


def test_it_works(proof, team):
    another(team, "bare")
    assert judge() == ("warn", "1 of 2 databases is proven; 1 has no backup.")


def test_nothing_is_neither_good_nor_bad(db):
    assert judge() == ("calm", "No database is backed up yet.")


def test_one_database_is_called_by_its_name(proof):
    assert judge() == ("good", "shop is proven.")


def test_all_proven_reads_so(proof, backup, team, destination):
    second = another(team, "second")
    copy = Backup.objects.create(
        team=team, database=second, destination=destination, completed_at=timezone.now()
    )
    Proof.objects.create(team=team, backup=copy, verdict="proven", completed_at=timezone.now())
    assert judge() == ("good", "All 2 databases are proven.")


@pytest.mark.parametrize(
    ("verdict", "tone", "sentence"),
    [
        ("differs", "bad", "shop came back different."),
        ("broken", "bad", "shop could not be restored."),
        ("undecided", "warn", "shop is undecided."),
        ("", "warn", "shop was never proven."),
    ],
)
def test_the_last_verdict_counts(proof, verdict, tone, sentence):
    Proof.objects.update(verdict=verdict)
    assert judge() == (tone, sentence)


def test_a_drill_under_way_hides_no_earlier_verdict(proof, backup, team):
    Proof.objects.create(team=team, backup=backup)
    assert judge() == ("good", "shop is proven.")


def test_a_failed_run_after_the_last_good_one_is_bad(proof, backup, plan, team):
    failed = run_of(plan, Status.FAILED)
    assert judge() == ("bad", "shop is proven; its last run failed.")
    [protection] = health.protections(Database.objects.all())
    assert protection.last_failure == failed


def test_a_good_run_answers_the_failed_one_before_it(plan, backup, proof):
    run_of(plan, Status.FAILED)
    Backup.objects.filter(task__status=Status.FAILED).update(
        created_at=timezone.now() - timedelta(hours=1)
    )
    assert judge() == ("good", "shop is proven.")


def test_a_proof_of_an_earlier_backup_is_told_as_such(proof, backup, plan, team):
    [protection] = health.protections(Database.objects.all())
    assert not protection.proof_is_older
    Backup.objects.create(
        team=team,
        database=plan.database,
        destination=plan.destination,
        completed_at=timezone.now() + timedelta(seconds=1),
    )
    [protection] = health.protections(Database.objects.all())
    assert protection.proof_is_older


def test_what_is_under_way_is_known(backup, plan, team):
    run_of(plan, Status.RUNNING)
    drill = Task.objects.create(team=team, job="drill", status=Status.QUEUED)
    Proof.objects.create(team=team, backup=backup, task=drill)
    [protection] = health.protections(Database.objects.all())
    assert [task.job for task in protection.under_way] == ["backup", "drill"]


def run_of(plan, status: Status) -> Task:
    task = ended(plan.team, "backup", status)
    Backup.objects.create(
        team=plan.team,
        plan=plan,
        database=plan.database,
        destination=plan.destination,
        task=task,
    )
    return task
