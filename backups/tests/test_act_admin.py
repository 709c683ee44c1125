"""The admin's buttons and actions call the nouns' verbs, for those who may."""

from __future__ import annotations

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from backups.models import Backup, Plan, Proof, Restore
from tasks.models import Task
from tasks.states import Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def press(client):
    """press(user, "plan", pk, "back_up_now", …): the answer to a button's POST."""

    def post(user, noun, pk, button, **body):
        staff(client, user)
        return client.post(reverse(f"admin:backups_{noun}_{button}", args=[pk]), body)

    return post


@pytest.fixture
def act(client):
    """act(user, "plan", [pk, …], "back_up"): the answer to an action on chosen rows."""

    def post(user, noun, pks, name):
        staff(client, user)
        body = {"action": name, "_selected_action": pks}
        return client.post(reverse(f"admin:backups_{noun}_changelist"), body)

    return post


def staff(client, user):
    user.is_staff = True
    user.save()
    client.force_login(user)


def told(answer) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_it_works(press, mate, plan):
    answer = press(mate, "plan", plan.pk, "back_up_now")
    backup = Backup.objects.get()
    assert answer.url == reverse("admin:backups_backup_change", args=[backup.pk])
    assert (backup.plan, backup.task.owner) == (plan, mate)
    assert "A backup of shop is asked for." in told(answer)


@pytest.mark.parametrize(
    ("noun", "button"),
    [
        ("plan", "back_up_now"),
        ("database", "back_up_now"),
        ("database", "check_connection"),
        ("destination", "check_connection"),
        ("backup", "prove"),
        ("backup", "restore"),
        ("backup", "cancel"),
        ("restore", "cancel"),
        ("proof", "cancel"),
    ],
)
def test_a_button_asks_before_it_does_anything(
    client, request, mate, viewer, stranger, plan, backup, restore, proof, noun, button
):
    known = {"plan": plan, "backup": backup, "restore": restore, "proof": proof}
    known |= {"database": plan.database, "destination": plan.destination}
    path = reverse(f"admin:backups_{noun}_{button}", args=[known[noun].pk])
    if button == "cancel":
        Task.objects.update(status=Status.RUNNING, finished_at=None)
    before = Task.objects.count()
    staff(client, mate)
    page = client.get(path)
    assert page.status_code == 200
    assert 'method="post"' in page.content.decode()
    assert page.context["deed"] in page.content.decode()
    shown = client.get(reverse(f"admin:backups_{noun}_change", args=[known[noun].pk]))
    assert path in shown.content.decode()
    for user in (viewer, stranger):
        staff(client, user)
        for answer in (client.get(path), client.post(path)):
            assert answer.status_code in (403, 404), user
    assert Task.objects.count() == before


def test_buttons_that_could_only_be_refused_are_not_shown(client, mate, backup):
    staff(client, mate)
    path = reverse("admin:backups_backup_change", args=[backup.pk])

    def shown() -> set[str]:
        page = client.get(path).content.decode()
        known = {
            name: reverse(f"admin:backups_backup_{name}", args=[backup.pk])
            for name in ("prove", "restore", "cancel")
        }
        return {name for name, address in known.items() if address in page}

    assert shown() == {"prove", "restore"}
    Backup.objects.update(completed_at=None)
    Task.objects.update(status=Status.RUNNING)
    assert shown() == {"cancel"}


def test_a_viewer_sees_no_buttons(client, viewer, plan):
    staff(client, viewer)
    shown = client.get(reverse("admin:backups_plan_change", args=[plan.pk])).content.decode()
    assert reverse("admin:backups_plan_back_up_now", args=[plan.pk]) not in shown


def test_a_post_without_a_token_does_nothing(mate, plan):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    staff(client, mate)
    path = reverse("admin:backups_plan_back_up_now", args=[plan.pk])
    assert client.post(path).status_code == 403
    assert not Backup.objects.exists()


def test_chosen_plans_are_backed_up_and_refusals_told(act, mate, plan):
    off = Plan.objects.create(
        team=plan.team,
        name="off",
        database=plan.database,
        destination=plan.destination,
        enabled=False,
    )
    answer = act(mate, "plan", [plan.pk, off.pk], "back_up")
    assert [backup.plan for backup in Backup.objects.all()] == [plan]
    assert "switched off" in told(answer)


def test_a_database_is_backed_up_by_every_plan_that_is_on(press, act, mate, plan):
    assert press(mate, "database", plan.database_id, "back_up_now").status_code == 302
    assert act(mate, "database", [plan.database_id], "back_up").status_code == 302
    assert Backup.objects.count() == 2
    Plan.objects.update(enabled=False)
    answer = press(mate, "database", plan.database_id, "back_up_now")
    assert "no plan that is switched on" in told(answer)
    assert Backup.objects.count() == 2


def test_rows_of_others_are_not_acted_on(act, stranger, plan):
    act(stranger, "plan", [plan.pk], "back_up")
    assert not Backup.objects.exists()


def test_a_viewer_is_offered_no_action(client, act, viewer, plan):
    act(viewer, "plan", [plan.pk], "back_up")
    assert not Backup.objects.exists()
    shown = client.get(reverse("admin:backups_plan_changelist")).content.decode()
    assert 'value="back_up"' not in shown


def test_a_backup_is_proven(press, mate, backup):
    answer = press(mate, "backup", backup.pk, "prove")
    proof = Proof.objects.get()
    assert answer.url == reverse("admin:backups_proof_change", args=[proof.pk])


def test_a_backup_is_restored(press, mate, backup, database):
    body = {"target": database.pk, "dbname": "copy"}
    answer = press(mate, "backup", backup.pk, "restore", **body)
    restore = Restore.objects.get()
    assert (restore.target, restore.dbname, restore.replace) == (database, "copy", False)
    assert answer.url == reverse("admin:backups_restore_change", args=[restore.pk])


def test_replacing_a_database_takes_its_name_twice(press, mate, backup, database):
    body = {"target": database.pk, "dbname": "shop", "replace": "on"}
    answer = press(mate, "backup", backup.pk, "restore", **body)
    assert "again" in answer.context["form"].errors
    assert not Restore.objects.exists()
    press(mate, "backup", backup.pk, "restore", **body, again="shop")
    assert Restore.objects.get().replace is True


def test_an_unfinished_backup_is_refused_with_a_sentence(press, mate, backup, database):
    Backup.objects.update(completed_at=None)
    assert "not complete" in told(press(mate, "backup", backup.pk, "prove"))
    body = {"target": database.pk, "dbname": "copy"}
    assert "not complete" in told(press(mate, "backup", backup.pk, "restore", **body))


def test_a_waiting_backup_is_cancelled(press, mate, backup):
    assert "ended already" in told(press(mate, "backup", backup.pk, "cancel"))
    Task.objects.update(status=Status.QUEUED, finished_at=None)
    assert "asked to stop" in told(press(mate, "backup", backup.pk, "cancel"))
    assert Task.objects.get().status == Status.CANCELLED


def test_a_check_tells_what_it_found(press, mate, database, destination):
    answer = press(mate, "destination", destination.pk, "check_connection")
    assert "written to" in told(answer)
    answer = press(mate, "database", database.pk, "check_connection")
    assert answer.status_code == 302
    assert told(answer)


def test_a_plan_is_not_deleted_while_its_backup_is_under_way(client, owner, backup):
    Task.objects.update(status=Status.RUNNING)
    staff(client, owner)
    path = reverse("admin:backups_plan_delete", args=[backup.plan_id])
    assert client.post(path, {"post": "yes"}).status_code == 403
    body = {"action": "delete_selected", "_selected_action": [backup.plan_id], "post": "yes"}
    client.post(reverse("admin:backups_plan_changelist"), body)
    assert Plan.objects.exists()
    Task.objects.update(status=Status.SUCCEEDED)
    assert client.post(path, {"post": "yes"}).status_code == 302
    assert not Plan.objects.exists()
