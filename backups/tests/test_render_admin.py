"""The admin's pages: who sees what, and that no secret is on them."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.urls import reverse

from accounts.models import Membership, Role, Team
from backups.models import Database, Destination
from backups.tests.conftest import PASSWORD, SECRET, WEBHOOK
from tasks.models import Task
from tasks.states import Status

pytestmark = pytest.mark.django_db

OWN = ["database", "destination", "plan", "schedule", "channel"]
NOUNS = [*OWN, "backup", "restore", "proof"]
RECEIPTS = ["backup", "restore", "proof"]


@pytest.fixture
def rows(database, destination, plan, schedule, channel, backup, restore, proof) -> dict:
    known = locals()
    return {noun: known[noun] for noun in NOUNS}


@pytest.fixture
def page(client):
    """page(user, "plan_change", pk): the admin's answer to a staff user."""

    def get(user, name, *args, **query):
        user.is_staff = True
        user.save()
        client.force_login(user)
        return client.get(reverse(f"admin:backups_{name}", args=args), query)

    return get


def form_of(database, **changes) -> dict:
    fields = ("name", "engine", "host", "port", "dbname", "username", "sslmode", "queue")
    filled = {name: getattr(database, name) or "" for name in fields}
    return filled | {"password": ""} | changes


def test_it_works(page, owner, database):
    answer = page(owner, "database_changelist")
    assert answer.status_code == 200
    assert "shop" in answer.content.decode()


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("who", ["superuser", "owner", "mate", "viewer"])
def test_lists_and_pages_render_for_the_team(request, page, rows, noun, who):
    user = request.getfixturevalue(who)
    for name, args in ((f"{noun}_changelist", ()), (f"{noun}_change", (rows[noun].pk,))):
        answer = page(user, name, *args)
        assert answer.status_code == 200, answer.content
        shown = answer.content.decode()
        assert PASSWORD not in shown
        assert SECRET not in shown
        assert WEBHOOK[-20:] not in shown
    assert page(user, f"{noun}_history", rows[noun].pk).status_code == 200


@pytest.mark.parametrize("noun", NOUNS)
def test_a_stranger_sees_empty_lists_and_no_page(page, stranger, rows, noun):
    answer = page(stranger, f"{noun}_changelist")
    assert answer.status_code == 200
    assert answer.context["cl"].result_count == 0
    for name in ("change", "delete", "history"):
        answer = page(stranger, f"{noun}_{name}", rows[noun].pk)
        assert answer.status_code in (302, 403), name  # the admin sends home what it can't find
    assert page(stranger, f"{noun}_changelist", q="shop").context["cl"].result_count == 0


@pytest.mark.parametrize("noun", NOUNS)
def test_only_admins_add_and_nobody_adds_receipts(page, owner, mate, viewer, noun):
    allowed = 403 if noun in RECEIPTS else 200
    assert page(owner, f"{noun}_add").status_code == allowed
    assert page(mate, f"{noun}_add").status_code == 403
    assert page(viewer, f"{noun}_add").status_code == 403


def test_who_is_in_no_team_sees_no_admin_of_backups(page, new_user, client):
    loner = new_user("loner", is_staff=True)
    client.force_login(loner)
    listed = client.get(reverse("admin:index")).context["app_list"]
    assert "backups" not in {app["app_label"] for app in listed}
    assert page(loner, "database_changelist").status_code == 403


@pytest.mark.parametrize("noun", RECEIPTS)
def test_receipts_are_read_only(page, client, superuser, rows, noun):
    answer = page(superuser, f"{noun}_change", rows[noun].pk)
    assert 'name="_save"' not in answer.content.decode()
    path = reverse(f"admin:backups_{noun}_change", args=[rows[noun].pk])
    assert client.post(path, {"key": "other"}).status_code == 403
    path = reverse(f"admin:backups_{noun}_delete", args=[rows[noun].pk])
    assert client.post(path, {"post": "yes"}).status_code == 403


def test_a_database_is_added_with_a_password_that_is_never_shown(page, client, owner, team):
    page(owner, "database_add")
    body = form_of(Database(name="books", dbname="books", username="keeper"))
    body |= {"team": team.pk, "password": PASSWORD}
    answer = client.post(reverse("admin:backups_database_add"), body, follow=True)
    row = Database.objects.get()
    assert row.password.reveal() == PASSWORD
    assert PASSWORD not in answer.content.decode()
    history = page(owner, "database_history", row.pk).content.decode()
    assert PASSWORD not in history
    assert row.password._value not in str(LogEntry.objects.values())


def test_an_empty_password_keeps_the_stored_one_and_is_no_change(page, client, owner, database):
    page(owner, "database_changelist")
    path = reverse("admin:backups_database_change", args=[database.pk])
    assert client.post(path, form_of(database, dbname="shop2")).status_code == 302
    database.refresh_from_db()
    assert (database.dbname, database.password.reveal()) == ("shop2", PASSWORD)
    assert "Password" not in LogEntry.objects.latest("pk").change_message
    assert client.post(path, form_of(database, password="another")).status_code == 302
    database.refresh_from_db()
    assert database.password.reveal() == "another"
    logged = LogEntry.objects.latest("pk").change_message
    assert "assword" in logged
    assert "another" not in logged


def test_a_form_that_is_shown_again_does_not_repeat_the_password(page, client, owner, database):
    page(owner, "database_changelist")
    path = reverse("admin:backups_database_change", args=[database.pk])
    answer = client.post(path, form_of(database, password="typed-just-now", name="no/slash"))
    assert answer.context["errors"]
    assert "typed-just-now" not in answer.content.decode()


def test_a_stored_password_is_not_sent_to_another_address(page, client, owner, database):
    page(owner, "database_changelist")
    path = reverse("admin:backups_database_change", args=[database.pk])
    answer = client.post(path, form_of(database, host="evil.example.org"))
    assert "password" in answer.context["adminform"].form.errors
    database.refresh_from_db()
    assert database.host == "127.0.0.1"


def test_a_team_has_each_name_once(page, client, owner, database, team):
    Database.objects.create(team=team, name="other", dbname="x", username="x")
    page(owner, "database_changelist")
    path = reverse("admin:backups_database_change", args=[database.pk])
    answer = client.post(path, form_of(database, name="other"))
    assert "name" in answer.context["adminform"].form.errors


@pytest.mark.parametrize(
    ("change", "field"), [({"port": 0}, "port"), ({"sslmode": "perhaps"}, "sslmode")]
)
def test_what_makes_no_sense_is_told_by_field(page, client, owner, database, change, field):
    page(owner, "database_changelist")
    path = reverse("admin:backups_database_change", args=[database.pk])
    answer = client.post(path, form_of(database, password="typed", **change))
    assert set(answer.context["adminform"].form.errors) == {field}


@pytest.mark.parametrize(
    ("kind", "options", "secret", "field"),
    [
        ("s3", '{"bucket": ""}', SECRET, "options"),
        ("s3", '{"bucket": "b", "colour": "red"}', SECRET, "options"),
        ("s3", '{"bucket": "b", "access_key": "a"}', "", "secret"),
        ("gcs", '{"bucket": "backups"}', "no JSON", "secret"),
        ("local", '["folder"]', "", "options"),
    ],
)
def test_options_are_checked_by_the_kind(page, client, owner, team, kind, options, secret, field):
    page(owner, "destination_add")
    body = {"team": team.pk, "name": "x", "kind": kind, "options": options, "secret": secret}
    answer = client.post(reverse("admin:backups_destination_add"), body)
    assert field in answer.context["adminform"].form.errors
    assert not Destination.objects.exists()


def test_a_form_offers_only_what_the_policy_lets_change(page, stranger, owner, plan):
    elsewhere = Team.home_of(stranger)
    Membership.objects.create(user=owner, team=elsewhere, role=Role.VIEWER)
    Database.objects.create(team=elsewhere, name="theirs", dbname="x", username="x")
    form = page(owner, "plan_add").context["adminform"].form
    assert list(form.fields["database"].queryset) == [plan.database]
    assert [team.name for team in form.fields["team"].queryset] == ["Home"]


def test_filters_name_only_what_is_visible(page, stranger, owner, plan, backup):
    Database.objects.create(
        team=Team.home_of(stranger), name="their-secret-name", dbname="x", username="x"
    )
    for noun in ("plan", "backup"):
        shown = page(owner, f"{noun}_changelist").content.decode()
        assert "their-secret-name" not in shown


def test_progress_is_marked_for_the_live_script(page, viewer, backup):
    Task.objects.filter(pk=backup.task_id).update(
        status=Status.RUNNING, progress_done=500, progress_total=1000, progress_rate=100.0, seq=7
    )
    for name, args in (("backup_changelist", ()), ("backup_change", (backup.pk,))):
        shown = page(viewer, name, *args).content.decode()
        assert f'data-live="task:{backup.task_id}"' in shown
        assert 'data-live-seq="7"' in shown
        assert 'value="50.0"' in shown
        assert "backdrop/live.js" in shown
    fragment = page(viewer, "backup_live", backup.pk)
    assert fragment.status_code == 200
    assert 'data-field="status"' in fragment.content.decode()


def test_a_fragment_of_others_is_not_there(page, stranger, backup):
    assert page(stranger, "backup_live", backup.pk).status_code == 404


def test_what_a_task_says_is_escaped(page, viewer, backup):
    Task.objects.filter(pk=backup.task_id).update(
        status=Status.FAILED, message="<script>1</script>", error="<script>2</script>"
    )
    shown = page(viewer, "backup_change", backup.pk).content.decode()
    assert "<script>1" not in shown
    assert "<script>2" not in shown


def test_the_database_holds_no_readable_secret(database, bucket):
    with connection.cursor() as cursor:
        for table, column in (("database", "password"), ("destination", "secret")):
            cursor.execute(f"SELECT {column} FROM backups_{table}")
            stored = str(cursor.fetchall())
            assert PASSWORD not in stored
            assert SECRET not in stored
