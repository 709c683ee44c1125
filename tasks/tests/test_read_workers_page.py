"""The page of workers, and the history of a task, in full and in pages."""

from __future__ import annotations

import pytest

from tasks import history, pauses, queue
from tasks.models import Event, Pause, Worker
from tasks.tests.test_send_canaries import new_worker
from tasks.tests.work import new_task, running_task

pytestmark = pytest.mark.django_db

PAGE = "/workers/"


@pytest.fixture
def worker(team) -> Worker:
    return new_worker("one:1:1", ["default"], capacity=3)


@pytest.fixture
def staff(client, mate):
    mate.is_staff = True
    mate.save()
    client.force_login(mate)
    return client


def running(team, worker, **more):
    task = new_task(team, **more)
    assert queue.claim(["default"], worker.name).pk == task.pk
    return task


def add_lines(task, count: int, level: str = "info", start: int = 100) -> None:
    Event.objects.bulk_create(
        Event(task=task, seq=start + n, kind="log", level=level, message=f"Line {start + n} here")
        for n in range(count)
    )


def test_it_works(worker, team, staff):
    task = running(team, worker, title="Nightly")
    new_worker("two:1:1", [], host="two", kind="daemon")
    page = staff.get(PAGE).content.decode()
    assert f'href="/tasks/{task.pk}"' in page
    assert "Nightly" in page
    assert "1 of 3" in page
    assert ">two</h2>" in page
    assert 'aria-current="page">Workers' in page
    assert "Nightly" in staff.get("/workers/_workers").content.decode()


def test_tasks_of_other_teams_are_counted_and_not_named(worker, team, client, stranger):
    running(team, worker, title="Nightly")
    client.force_login(stranger)
    page = client.get(PAGE).content.decode()
    assert "Nightly" not in page
    assert "1 task of other teams" in page


def test_a_worker_that_is_silent_is_told(worker, staff):
    Worker.objects.update(heartbeat_at=worker.started_at.replace(year=2020))
    page = staff.get(PAGE).content.decode()
    assert "Silent" in page
    assert "No worker" in page


def test_staff_pause_and_resume_a_queue_and_a_kind_of_job(worker, staff, mate):
    for what in ("queue:default", "job:watched"):
        staff.post("/workers/pause", {"what": what, "reason": "A new disk"})
    assert [(held.kind, held.by, held.reason) for held in Pause.objects.all()] == [
        ("job", mate, "A new disk"),
        ("queue", mate, "A new disk"),
    ]
    page = staff.get("/workers/_workers").content.decode()
    assert page.count("A new disk") == 2
    assert 'value="queue:default" aria-label="Resume' in page
    for what in ("queue:default", "job:watched"):
        staff.post("/workers/resume", {"what": what})
    assert not Pause.objects.exists()


@pytest.mark.parametrize("what", ["", "queue:", "job:nonesuch", "nonsense:default", "queue"])
def test_what_makes_no_sense_is_refused_with_a_sentence(worker, staff, what):
    page = staff.post("/workers/pause", {"what": what}, follow=True).content.decode()
    assert "notice bad" in page
    assert not Pause.objects.exists()


def test_others_see_no_buttons_and_press_none(worker, client, owner):
    client.force_login(owner)
    page = client.get(PAGE).content.decode()
    assert "formaction" not in page
    assert "Hold something back" not in page
    pauses.pause(Pause.Kind.QUEUE, "default", by=None)
    for address in ("/workers/pause", "/workers/resume", f"/workers/{worker.pk}/drain"):
        assert client.post(address, {"what": "queue:default"}).status_code == 403
    assert Pause.objects.exists()


def test_the_number_of_queries_does_not_grow(team, staff, django_assert_max_num_queries):
    for n in range(12):
        running(team, new_worker(f"one:{n}:{n}", ["default"]))
    with django_assert_max_num_queries(22):
        staff.get(PAGE)


def test_the_admin_shows_the_same_and_drains(worker, team, staff):
    task = running(team, worker, title="Nightly")
    listed = staff.get("/admin/tasks/worker/").content.decode()
    assert "1 of 3" in listed
    assert 'data-live-src="/admin/tasks/worker/_queues/"' in listed
    assert "default" in staff.get("/admin/tasks/worker/_queues/").content.decode()
    page = staff.get(f"/admin/tasks/worker/{worker.pk}/change/").content.decode()
    assert f"/admin/tasks/task/{task.pk}/change/" in page
    chosen = {"action": "drain_chosen", "_selected_action": [worker.pk]}
    assert "1 of 1 drain." in staff.post("/admin/tasks/worker/", chosen, follow=True).text
    worker.refresh_from_db()
    assert worker.drain_asked_at is not None


# The history of a task ----------------------------------------------------------------------------


def test_lines_are_numbered_and_shown_from_a_level_on(team, staff):
    task = running_task(team).task
    add_lines(task, 2)
    add_lines(task, 2, "warning", 200)
    page = staff.get(f"/tasks/{task.pk}?least=warning").content.decode()
    assert 'data-seq="200" data-level="warning"' in page
    assert "Line 100 here" not in page
    assert f'data-live-src="/tasks/{task.pk}/_progress?least=warning"' in page
    assert "Line 100 here" in staff.get(f"/tasks/{task.pk}").content.decode()
    assert "Line 100" not in staff.get(f"/tasks/{task.pk}/_progress?least=error").content.decode()
    assert "Line 100 here" in staff.get(f"/tasks/{task.pk}?least=nonsense").content.decode()


def test_long_histories_come_in_pages_and_the_last_one_goes_on_live(team, staff):
    task = running_task(team).task
    add_lines(task, 5000)
    whole = f"/tasks/{task.pk}/events"
    last = staff.get(whole).content.decode()
    assert "Line 5099 here" in last
    assert "Page 26 of 26" in last
    assert f'data-live="task:{task.pk}"' in last
    first = staff.get(f"{whole}?page=1").content.decode()
    assert "Line 100 here" in first
    assert "Line 5099 here" not in first
    assert "data-live=" not in first
    assert "Line 1000 here" in staff.get(f"{whole}?page=5").content.decode()


def test_a_stranger_reads_no_history(team, client, stranger):
    task = running_task(team).task
    client.force_login(stranger)
    assert client.get(f"/tasks/{task.pk}/events").status_code == 404


def test_the_admin_filters_and_pages_lines_too(team, staff):
    task = running_task(team).task
    add_lines(task, 250)
    add_lines(task, 1, "error", 500)
    page = staff.get(f"/admin/tasks/task/{task.pk}/change/?least=error").content.decode()
    assert "Line 500 here" in page
    assert "Line 100 here" not in page
    listed = f"/admin/tasks/event/?task={task.pk}"
    assert listed in page
    assert "Line 100 here" in staff.get(listed).content.decode()
    assert "Line 500 here" in staff.get(f"{listed}&p=2").content.decode()
    assert "Line 500 here" in staff.get(f"{listed}&level=error").content.decode()


def test_the_admin_shows_no_lines_of_others(team, client, stranger):
    task = running_task(team).task
    add_lines(task, 3)
    stranger.is_staff = True
    stranger.save()
    client.force_login(stranger)
    assert "Line 100" not in client.get(f"/admin/tasks/event/?task={task.pk}").content.decode()


def test_rest_tells_lines_after_one_and_from_a_level_on(team, api, viewer):
    task = running_task(team).task
    add_lines(task, 5)
    add_lines(task, 1, "error", 200)
    events = f"/api/tasks/{task.pk}/events/"
    seqs = [one["seq"] for one in api(viewer).get(f"{events}?after=102").json()["results"]]
    assert seqs == [103, 104, 200]
    seqs = [one["seq"] for one in api(viewer).get(f"{events}?least=warning").json()["results"]]
    assert seqs == [200]
    assert api(viewer).get(f"{events}?least=nonsense").status_code == 400


def test_an_unknown_level_is_never_hidden(team):
    task = running_task(team).task
    add_lines(task, 1, "critical")
    assert history.lines(task, "error").count() == 1
