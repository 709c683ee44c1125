"""Every page: who may open it, what it shows, and what it never shows."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from backups import page_urls
from backups.models import Backup, Database, Plan, Proof
from backups.tests.conftest import PASSWORD, SECRET, WEBHOOK, ended
from tasks.models import Task, Worker
from tasks.states import Status

pytestmark = pytest.mark.django_db

BUTTONS = {  # answer to POST only
    "database_check": "database",
    "destination_check": "destination",
    "plan_start": "plan",
    "schedule_pause": "schedule",
    "schedule_resume": "schedule",
    "schedule_remove": "schedule",
    "channel_test": "channel",
    "channel_pause": "channel",
    "channel_resume": "channel",
    "channel_remove": "channel",
    "backup_prove": "backup",
    "task_cancel": "task",
    "task_retry": "task",
}
CHANGES = {
    "database_edit": "database",
    "destination_edit": "destination",
    "plan_edit": "plan",
    "schedule_edit": "schedule",
    "channel_edit": "channel",
}
RUNS = {"backup_restore": "backup"}
SHOWS = {
    "database": "database",
    "destination": "destination",
    "channel": "channel",
    "backup": "backup",
    "task": "task",
    "task_card": "task",
    "task_events": "task",
    "task_progress": "task",
}
LISTS = (
    "dashboard",
    "overview",
    "databases",
    "destinations",
    "plans",
    "schedules",
    "channels",
    "backups",
    "tasks",
    "workers",
    "workers_rows",
)
STAFF = ("worker_drain", "pause", "resume")  # about no team's; POST only
FRAGMENTS = ("overview", "tasks_rows", "task_progress")
NEW = ("database_new", "destination_new", "plan_new", "schedule_new", "channel_new")


@pytest.fixture
def rows(database, destination, plan, schedule, channel, backup, proof) -> dict[str, object]:
    return {
        "database": database,
        "destination": destination,
        "plan": plan,
        "schedule": schedule,
        "channel": channel,
        "backup": backup,
        "task": backup.task,
        "worker": Worker.objects.create(name="w:1:1", host="w", pid=1, heartbeat_at=timezone.now()),
    }


@pytest.fixture
def address(rows):
    """address("backup_edit"): where it is, for the row of the fixtures that it takes."""
    takes = {**BUTTONS, **CHANGES, **RUNS, **SHOWS, "worker_drain": "worker"}

    def find(name: str) -> str:
        return reverse(name, args=[rows[takes[name]].pk] if name in takes else [])

    return find


def body(response) -> str:
    return response.content.decode()


def test_it_works(client, owner, address):
    client.force_login(owner)
    for name in (*LISTS, "tasks_rows", *NEW, *SHOWS, *CHANGES, *RUNS):
        assert client.get(address(name)).status_code == 200, name


def test_every_address_is_tested_here():
    known = {*LISTS, "tasks_rows", *NEW, *SHOWS, *CHANGES, *RUNS, *BUTTONS, *STAFF}
    assert {pattern.name for pattern in page_urls.urlpatterns} == known


@pytest.mark.parametrize("name", [pattern.name for pattern in page_urls.urlpatterns])
def test_a_visitor_is_sent_to_log_in(client, address, name):
    for answer in (client.get(address(name)), client.post(address(name))):
        assert answer.status_code == 302
        assert answer.url.startswith("/login?next=")


@pytest.mark.parametrize("name", STAFF)
def test_only_staff_press_what_concerns_all_teams(client, owner, address, name):
    client.force_login(owner)
    assert client.get(address(name)).status_code == 405
    assert client.post(address(name), {"what": "queue:default"}).status_code == 403


@pytest.mark.parametrize("name", [*SHOWS, *CHANGES, *RUNS, *BUTTONS])
def test_a_stranger_finds_nothing(client, stranger, address, name):
    client.force_login(stranger)
    for answer in (client.get(address(name)), client.post(address(name))):
        assert answer.status_code in (404, 405)
    assert client.post(address(name)).status_code == (405 if name in SHOWS else 404)


@pytest.mark.parametrize("name", [*LISTS, "tasks_rows"])
def test_a_stranger_sees_nothing_in_lists(client, stranger, address, name, rows):
    client.force_login(stranger)
    page = body(client.get(address(name)))
    assert "shop" not in page
    assert "disk" not in page
    assert "hooks.slack.com" not in page
    assert str(rows["backup"].pk) not in page


@pytest.mark.parametrize("name", [*BUTTONS, *CHANGES, *RUNS])
def test_a_viewer_may_not_press_or_change_anything(client, viewer, address, name):
    client.force_login(viewer)
    answer = client.post(address(name))
    assert answer.status_code == 403
    assert "This takes the role" in body(answer)
    assert Task.objects.exclude(status=Status.SUCCEEDED).count() == 0


@pytest.mark.parametrize("name", [*LISTS, *SHOWS])
def test_a_viewer_sees_no_buttons(client, viewer, address, name, rows):
    Task.objects.filter(pk=rows["task"].pk).update(status=Status.RUNNING)
    client.force_login(viewer)
    page = body(client.get(address(name)))
    assert "formaction" not in page
    assert "/edit" not in page
    assert "/new" not in page


@pytest.mark.parametrize("name", NEW)
def test_only_an_admin_may_add(client, mate, address, name):
    client.force_login(mate)
    assert client.get(address(name)).status_code == 403


def test_an_operator_sees_the_buttons_that_run_and_none_that_change(client, mate, address, rows):
    client.force_login(mate)
    page = body(client.get(address("database")))
    assert f'formaction="/plans/{rows["plan"].pk}/start' in page
    assert "/edit" not in page


def test_no_page_shows_a_secret(client, owner, address, bucket):
    client.force_login(owner)
    pages = [address(name) for name in (*LISTS, *SHOWS, *CHANGES, *RUNS)]
    pages += [reverse("destination_edit", args=[bucket.pk]), f"/destinations/{bucket.pk}"]
    for page in pages:
        text = body(client.get(page))
        assert PASSWORD not in text, page
        assert SECRET not in text, page
        assert WEBHOOK.rpartition("/")[2] not in text, page


@pytest.mark.parametrize("name", FRAGMENTS)
def test_a_fragment_is_the_inside_of_its_page(client, owner, address, name):
    page = {"overview": "dashboard", "tasks_rows": "tasks", "task_progress": "task"}[name]
    client.force_login(owner)
    whole, part = body(client.get(address(page))), body(client.get(address(name)))
    assert "<html" not in part
    assert lines(part) <= lines(whole)
    assert len(lines(part)) > 5


def lines(text: str) -> set[str]:
    """Without the ages, which grow between two requests."""
    return {re.sub(r"<time.*?</time>", "", line).strip() for line in text.splitlines()}


def test_the_newcomer_is_taught_what_to_do(client, owner):
    client.force_login(owner)
    page = body(client.get("/"))
    assert "No database is backed up yet." in page
    for name in ("database_new", "destination_new", "plan_new"):
        assert f'href="{reverse(name)}"' in page


def test_the_dashboard_says_how_things_are(client, owner, plan, backup, proof, team, destination):
    bare = Database.objects.create(team=team, name="bare", dbname="b", username="u")
    Plan.objects.create(team=team, name="bare", database=bare, destination=destination)
    client.force_login(owner)
    page = body(client.get("/"))
    assert "1 of 2 databases is proven; 1 has no backup." in page
    assert "3.9 KB in disk" in page


def test_work_under_way_shows_its_figures(client, owner, team, backup):
    task = running(team, progress_done=3 * 1024**2, progress_total=12 * 1024**2)
    Task.objects.filter(pk=task.pk).update(progress_rate=1024**2, message="public.orders")
    client.force_login(owner)
    page = body(client.get("/"))
    assert re.search(r'<progress[^>]* value="25"', page)
    for figure in (">25%<", ">3.0 MB<", ">12.0 MB<", ">1.0 MB/s<", ">9 s<", "public.orders"):
        assert figure in page, figure
    assert f'formaction="/tasks/{task.pk}/cancel"' in page


def test_without_an_estimate_the_bar_has_no_value(client, owner, team):
    running(team, progress_done=3 * 1024**2)
    client.force_login(owner)
    page = body(client.get("/"))
    assert "<progress" in page
    assert not re.search(r"<progress[^>]*value=", page)


def test_a_page_of_running_work_is_fetched_anew_without_javascript(client, owner, team):
    client.force_login(owner)
    refresh = '<noscript><meta http-equiv="refresh"'
    assert refresh not in body(client.get("/"))
    task = running(team)
    for page in ("/", "/tasks/", f"/tasks/{task.pk}"):
        assert refresh in body(client.get(page)), page


def test_waiting_work_without_a_worker_is_told(client, owner, team):
    client.force_login(owner)
    assert "No worker is running" in body(client.get("/"))
    Worker.objects.create(name="w", host="h", pid=1, heartbeat_at=timezone.now())
    assert "No worker is running" not in body(client.get("/"))


def test_what_failed_says_why_and_what_to_do(client, owner, plan, team):
    task = ended(team, "backup", Status.FAILED)
    Task.objects.filter(pk=task.pk).update(error="No route to db1. Look at the firewall.")
    Backup.objects.create(
        team=team, plan=plan, database=plan.database, destination=plan.destination, task=task
    )
    client.force_login(owner)
    for page in ("/", "/tasks/", f"/tasks/{task.pk}", f"/databases/{plan.database_id}"):
        assert "No route to db1. Look at the firewall." in body(client.get(page)), page


def test_a_receipt_tells_how_to_restore_by_hand(client, owner, backup, destination):
    client.force_login(owner)
    page = body(client.get(f"/backups/{backup.pk}"))
    assert f"cp {destination.options['folder']}/{backup.key} {backup.key}" in page
    assert f"gunzip -c {backup.key} | psql -v ON_ERROR_STOP=1 -d restored" in page
    assert backup.stored_sha256 in page


def test_a_receipt_of_a_bucket_names_its_address(client, owner, backup, bucket):
    Backup.objects.filter(pk=backup.pk).update(destination=bucket)
    client.force_login(owner)
    page = body(client.get(f"/backups/{backup.pk}"))
    assert f"aws s3 cp s3://backups/{backup.key}" in page
    assert "--endpoint-url http://127.0.0.1:1" in page


@pytest.mark.parametrize("verdict", Proof.Verdict.values)
def test_each_verdict_is_told_by_its_word(client, owner, proof, verdict):
    Proof.objects.filter(pk=proof.pk).update(verdict=verdict, reason="Because.")
    client.force_login(owner)
    for page in ("/", f"/databases/{proof.backup.database_id}", f"/backups/{proof.backup_id}"):
        assert f"</svg>{verdict.capitalize()}</span>" in body(client.get(page)), page


def test_the_dashboard_asks_as_often_for_many_databases_as_for_one(
    client, owner, plan, backup, proof, team, destination, django_assert_max_num_queries
):
    for number in range(12):
        other = Database.objects.create(team=team, name=f"d{number}", dbname="d", username="u")
        Plan.objects.create(team=team, name=f"p{number}", database=other, destination=destination)
        task = running(team, title=f"Back up d{number}")
        Backup.objects.create(team=team, database=other, destination=destination, task=task)
    client.force_login(owner)
    with django_assert_max_num_queries(24):
        client.get("/")


def test_a_name_can_not_bring_markup(client, owner, plan, team):
    ended(team, "backup", Status.FAILED)
    Task.objects.update(title="<script>alert(1)</script>", error="<img src=x onerror=alert(1)>")
    client.force_login(owner)
    page = body(client.get("/"))
    assert "<script>alert" not in page
    assert "<img" not in page


def test_a_wrong_address_has_a_page_of_ours(client, owner):
    client.force_login(owner)
    answer = client.get("/nothing")
    assert answer.status_code == 404
    assert "Not here" in body(answer)


def running(team, **fields) -> Task:
    started = {"attempt": 1, "started_at": timezone.now()}
    return Task.objects.create(team=team, job="backup", status=Status.RUNNING, **started, **fields)
