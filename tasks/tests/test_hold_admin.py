"""In the admin: quarantine, bulk work, what is held back."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry

from tasks import admin, clock
from tasks.models import Pause, Task
from tasks.pauses import pause
from tasks.states import Outcome
from tasks.tests.work import ended_task, new_task

pytestmark = pytest.mark.django_db

LIST, PAUSES = "/admin/tasks/task/", "/admin/tasks/pause/"


@pytest.fixture
def browser(client, mate):
    mate.is_staff = True
    mate.save()
    client.force_login(mate)
    return client


def test_it_works(browser, team, mate):
    answer = browser.post(
        f"{PAUSES}add/", {"kind": "queue", "name": "default", "reason": "A new disk."}, follow=True
    )
    held = Pause.objects.get()
    assert (held.by, held.reason) == (mate, "A new disk.")
    assert "A new disk" in answer.content.decode()
    page = browser.get(f"{LIST}{new_task(team).pk}/change/").content.decode()
    assert "Paused: the queue default is held back (A new disk)." in page
    browser.post(f"{PAUSES}{held.pk}/delete/", {"post": "yes"})
    assert not Pause.objects.exists()
    told = LogEntry.objects.order_by("pk").values_list("user", "change_message")
    assert list(told) == [(mate.pk, "Paused. A new disk."), (mate.pk, "Resumed.")]


def test_several_are_resumed_at_once(browser, owner):
    held = [pause(Pause.Kind.QUEUE, name, by=owner) for name in ("one", "two")]
    chosen = {"action": "delete_selected", "_selected_action": [one.pk for one in held]}
    browser.post(PAUSES, {**chosen, "post": "yes"})
    assert not Pause.objects.exists()
    assert LogEntry.objects.filter(change_message="Resumed.").count() == 2


def test_an_unknown_kind_of_job_is_refused(browser):
    answer = browser.post(f"{PAUSES}add/", {"kind": "job", "name": "nonesuch"})
    assert "No job is called so" in answer.content.decode()
    assert not Pause.objects.exists()


def test_a_pause_is_not_changed(browser, owner):
    held = pause(Pause.Kind.QUEUE, "default", by=owner)
    page = f"{PAUSES}{held.pk}/change/"
    assert browser.get(page).status_code == 200
    assert browser.post(page, {"kind": "queue", "name": "other"}).status_code == 403


def test_what_is_in_quarantine_is_found_and_released(browser, team):
    killer = ended_task(team, Outcome.CRASHED, error="Killed.")
    new_task(team, title="Harmless")
    Task.objects.filter(pk=killer.pk).update(quarantined_at=clock.now(), title="Killer")
    found = browser.get(f"{LIST}?quarantined=true").content.decode()
    assert "Killer" in found
    assert "Harmless" not in found
    assert "Killer" not in browser.get(f"{LIST}?quarantined=false").content.decode()
    browser.post(f"{LIST}{killer.pk}/_retry/")
    killer.refresh_from_db()
    assert (killer.status, killer.quarantined_at) == ("queued", None)


def test_many_chosen_ones_are_moved_by_a_task(browser, team, mate, monkeypatch):
    monkeypatch.setattr(admin.tasks, "MOVED_AT_ONCE", 2)
    monkeypatch.setattr(admin.tasks, "BULK_ROWS", 2)
    tasks = [new_task(team) for _ in range(3)]
    chosen = {"action": "cancel_chosen", "_selected_action": [str(task.pk) for task in tasks]}
    page = browser.post(LIST, chosen, follow=True).content.decode()
    asked = list(Task.objects.filter(job="bulk").order_by("created_at"))
    assert [len(task.args["filter"]["id"]) for task in asked] == [2, 1]
    assert {task.owner for task in asked} == {mate}
    assert f"{LIST}{asked[0].pk}/change/" in page
    assert Task.objects.filter(status="cancelled").count() == 0, "not by the page"


def test_the_dashboard_lists_what_is_in_quarantine(browser, team):
    killer = ended_task(team, Outcome.CRASHED)
    Task.objects.filter(pk=killer.pk).update(quarantined_at=clock.now(), title="Killer")
    other = ended_task(team, Outcome.FAILED)
    Task.objects.filter(pk=other.pk).update(title="Simple failure")
    page = browser.get("/tasks/?status=quarantined").content.decode()
    assert "Killer" in page
    assert "Simple failure" not in page
    assert "Quarantined" in page
