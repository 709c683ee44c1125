"""Buttons: each asks for one thing, tells what became of it, and goes on to a sensible page."""

from __future__ import annotations

import pytest
from django.contrib.messages import get_messages

from backups.models import Backup, Plan, Restore
from backups.tests.conftest import ended
from tasks.models import Task
from tasks.states import Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def press(client, mate):
    """press("/plans/1/start", next="/"): as an operator."""
    client.force_login(mate)

    def post(path: str, **data):
        return client.post(path, data)

    return post


def told(answer) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_it_works(press, plan, mate):
    answer = press(f"/plans/{plan.pk}/start")
    made = Backup.objects.get()
    assert answer.url == f"/backups/{made.pk}"
    assert made.task.status == Status.QUEUED
    assert made.task.owner == mate
    assert told(answer) == "Backing up shop."


def test_a_button_pressed_twice_starts_one_backup(press, plan):
    for _ in range(2):
        press(f"/plans/{plan.pk}/start?seen=")
    assert Backup.objects.count() == 1


def test_a_page_that_has_seen_the_backup_starts_another(press, plan):
    press(f"/plans/{plan.pk}/start?seen=")
    press(f"/plans/{plan.pk}/start?seen={Backup.objects.get().pk}")
    assert Backup.objects.count() == 2


def test_an_old_page_still_starts_a_backup(press, plan):
    press(f"/plans/{plan.pk}/start?seen=")
    Task.objects.update(status=Status.SUCCEEDED)
    press(f"/plans/{plan.pk}/start?seen=")
    assert Backup.objects.count() == 2


def test_a_plan_that_is_off_says_so(press, plan):
    Plan.objects.update(enabled=False)
    answer = press(f"/plans/{plan.pk}/start")
    assert told(answer) == "The plan nightly is switched off. Enable it to run it."
    assert not Backup.objects.exists()


def test_one_goes_back_to_the_page_of_the_button(press, plan):
    assert press(f"/plans/{plan.pk}/start", next="/").url == "/"
    for word in ("plans", '{"a": 1}'):  # relative addresses, and no names of pages
        assert press(f"/plans/{plan.pk}/start", next=word).status_code == 302


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:1"])
def test_one_never_goes_on_to_another_site(press, plan, elsewhere):
    assert press(f"/plans/{plan.pk}/start", next=elsewhere).url.startswith("/backups/")


def test_getting_a_button_does_nothing(client, mate, plan):
    client.force_login(mate)
    assert client.get(f"/plans/{plan.pk}/start").status_code == 405
    assert not Backup.objects.exists()


def test_a_form_without_its_token_does_nothing(mate, plan):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(mate)
    answer = client.post(f"/plans/{plan.pk}/start")
    assert answer.status_code == 403
    assert "This form is too old" in answer.content.decode()
    assert not Backup.objects.exists()


def test_cancel_ends_what_waits(press, plan):
    press(f"/plans/{plan.pk}/start")
    task = Task.objects.get()
    answer = press(f"/tasks/{task.pk}/cancel")
    task.refresh_from_db()
    assert task.status == Status.CANCELLED
    assert answer.url == f"/tasks/{task.pk}"


def test_cancel_of_what_has_ended_says_so(press, team):
    task = ended(team, "backup")
    assert "had already ended" in told(press(f"/tasks/{task.pk}/cancel"))


def test_try_again_queues_what_failed(press, team):
    task = ended(team, "backup", Status.FAILED)
    press(f"/tasks/{task.pk}/retry")
    task.refresh_from_db()
    assert task.status == Status.QUEUED


def test_try_again_is_refused_for_what_went_well(press, team):
    task = ended(team, "backup")
    assert "only a failed task can" in told(press(f"/tasks/{task.pk}/retry"))


def test_prove_asks_for_a_drill(press, backup):
    press(f"/backups/{backup.pk}/prove")
    assert backup.proofs.get().task.job == "drill"


def test_what_is_not_complete_can_not_be_proven(press, backup):
    Backup.objects.update(completed_at=None)
    assert "is not complete" in told(press(f"/backups/{backup.pk}/prove"))
    assert not backup.proofs.exists()


def test_restore_goes_into_a_new_database(press, backup, database):
    answer = press(f"/backups/{backup.pk}/restore", target=database.pk, dbname="shop_again")
    made = Restore.objects.get()
    assert (made.dbname, made.target, made.replace) == ("shop_again", database, False)
    assert answer.url == f"/tasks/{made.task_id}"


def test_to_replace_takes_the_name_twice(press, backup, database):
    where = {"target": database.pk, "dbname": "shop", "replace": "on"}
    answer = press(f"/backups/{backup.pk}/restore", **where, confirm="shopp")
    assert "Type the name of the database" in answer.content.decode()
    assert not Restore.objects.exists()
    press(f"/backups/{backup.pk}/restore", **where, confirm="shop")
    assert Restore.objects.get().replace


def test_nobody_restores_into_a_server_of_strangers(press, backup, stranger):
    from accounts.models import Team
    from backups.models import Database

    theirs = Database.objects.create(
        team=Team.objects.get(name="Elsewhere"), name="x", dbname="x", username="u"
    )
    answer = press(f"/backups/{backup.pk}/restore", target=theirs.pk, dbname="mine")
    assert answer.status_code == 200
    assert not Restore.objects.exists()


def test_check_tells_what_the_adapter_says(press, database):
    answer = press(f"/databases/{database.pk}/check", next="/databases/")
    assert answer.url == "/databases/"
    assert "127.0.0.1" in told(answer)


def test_check_writes_to_the_destination_and_leaves_nothing(press, destination, tmp_path):
    assert "read back and removed" in told(press(f"/destinations/{destination.pk}/check"))
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
