"""Tasks and workers in the admin."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tasks import clock
from tasks.models import Worker
from tasks.states import Outcome
from tasks.tests.work import ended_task, new_task, running_task

pytestmark = pytest.mark.django_db

LIST = "/admin/tasks/task/"


def page_of(task) -> str:
    return f"{LIST}{task.pk}/change/"


@pytest.fixture
def staff(client, mate, viewer, stranger, owner):
    """staff(user): a browser in which that user is logged in to the admin."""

    def log_in(user):
        user.is_staff = True
        user.save()
        client.force_login(user)
        return client

    return log_in


def test_it_works(staff, mate, team):
    run = running_task(team, title="Nightly")
    run.report(30, line="half a <b>line</b>")
    browser = staff(mate)
    listed = browser.get(LIST).content.decode()
    assert "Nightly" in listed
    assert f'data-live="task:{run.task.pk}"' in listed
    page = browser.get(page_of(run.task)).content.decode()
    assert "half a &lt;b&gt;line&lt;/b&gt;" in page
    assert f'data-live-src="{LIST}{run.task.pk}/_live/?least=debug"' in page
    assert "backdrop/live.js" in page


def test_the_fragment_is_the_inside_of_the_page(staff, mate, team):
    task = new_task(team)
    browser = staff(mate)
    fragment = browser.get(f"{LIST}{task.pk}/_live/").content.decode()
    assert fragment in browser.get(page_of(task)).content.decode()
    assert f'formaction="{LIST}{task.pk}/_cancel/"' in fragment


def test_the_buttons_move_the_task(staff, mate, team):
    task = new_task(team)
    browser = staff(mate)
    assert browser.get(f"{LIST}{task.pk}/_cancel/").status_code == 405
    answer = browser.post(f"{LIST}{task.pk}/_cancel/", follow=True)
    assert "asked to stop" in answer.content.decode()
    task.refresh_from_db()
    assert task.status == "cancelled"
    assert "too late" in browser.post(f"{LIST}{task.pk}/_retry/", follow=True).content.decode()


def test_chosen_ones_are_cancelled_or_tried_again(staff, mate, team):
    failed = ended_task(team, Outcome.FAILED, error="No.")
    waiting = [new_task(team), new_task(team)]
    browser = staff(mate)

    def act(name: str, *tasks) -> str:
        chosen = {"action": name, "_selected_action": [str(task.pk) for task in tasks]}
        return browser.post(LIST, chosen, follow=True).content.decode()

    assert "2 of 3 asked to stop or cancelled." in act("cancel_chosen", failed, *waiting)
    assert "1 of 1 put back into the queue." in act("retry_chosen", failed)
    failed.refresh_from_db()
    assert failed.status == "queued"


def test_a_viewer_looks_and_moves_nothing(staff, viewer, team):
    task = new_task(team)
    browser = staff(viewer)
    page = browser.get(page_of(task)).content.decode()
    assert "formaction" not in page
    assert "cancel_chosen" not in browser.get(LIST).content.decode()
    assert browser.post(f"{LIST}{task.pk}/_cancel/").status_code == 403
    task.refresh_from_db()
    assert task.status == "queued"


def test_a_stranger_finds_nothing(staff, stranger, team):
    task = new_task(team, title="Nightly")
    browser = staff(stranger)
    assert "Nightly" not in browser.get(LIST).content.decode()
    for path in (f"{task.pk}/_live/", f"{task.pk}/_cancel/"):
        assert browser.post(f"{LIST}{path}").status_code == 404
    assert browser.get(page_of(task)).status_code == 302  # Django's way to say so


def test_nobody_is_shown_the_login(client, team):
    answer = client.get(f"{LIST}{new_task(team).pk}/_live/")
    assert answer.status_code == 302
    assert "login" in answer["Location"]


def test_nothing_is_added_changed_or_deleted_by_hand(staff, mate, team):
    task = new_task(team)
    browser = staff(mate)
    assert browser.get(f"{LIST}add/").status_code == 403
    assert browser.post(page_of(task), {"title": "Mine"}).status_code == 403
    assert browser.post(f"{LIST}{task.pk}/delete/").status_code == 403


def test_filters_and_search_work(staff, mate, team):
    new_task(team, title="Nightly")
    browser = staff(mate)
    for query in ("?status__exact=queued", "?job=watched", "?queue=default", "?q=Night"):
        assert "Nightly" in browser.get(LIST + query).content.decode(), query
    assert "Nightly" not in browser.get(f"{LIST}?status__exact=failed").content.decode()


def test_workers_are_listed(staff, mate, team):
    Worker.objects.create(
        name="host:1:now", host="host", pid=1, queues=["default"], heartbeat_at=clock.now()
    )
    page = staff(mate).get(reverse("admin:tasks_worker_changelist")).content.decode()
    assert "host:1:now" in page
