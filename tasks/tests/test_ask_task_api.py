"""The REST door to tasks: `/task/…` and `/api/…`."""

from __future__ import annotations

import uuid

import pytest

from tasks import transitions
from tasks.models import Task, Worker
from tasks.states import Outcome
from tasks.tests.work import ended_task, new_task, running_task

pytestmark = pytest.mark.django_db

CONTRACT = {
    "id", "job", "status", "message", "progress", "attempt", "max_attempts", "queue_position",
    "created_at", "started_at", "finished_at", "error", "result_url", "seq",
}  # fmt: skip
PROBLEM = "application/problem+json"


def test_it_works(api, team, owner):
    task = new_task(team, owner)
    answer = api(owner).get(f"/task/status/{task.pk}")
    assert answer.status_code == 200
    assert answer.json().keys() == CONTRACT
    assert answer.json()["status"] == "queued"
    assert answer.json()["progress"].keys() == {
        "done", "total", "unit", "percent", "rate", "eta_seconds",
    }  # fmt: skip


def test_figures_of_a_running_task(api, team, owner):
    run = running_task(team)
    run.report(25, 100)
    Task.objects.filter(pk=run.task.pk).update(progress_rate=15.0)
    body = api(owner).get(f"/task/status/{run.task.pk}").json()
    assert (body["attempt"], body["max_attempts"], body["queue_position"]) == (1, 3, None)
    assert body["progress"]["percent"] == 25
    assert body["progress"]["eta_seconds"] == 5
    assert body["started_at"].endswith("Z")
    assert body["result_url"] is None


def test_the_queue_position_counts_who_goes_first(api, team, owner):
    new_task(team)
    second = new_task(team)
    new_task(team, queue="elsewhere")
    assert api(owner).get(f"/task/status/{second.pk}").json()["queue_position"] == 2
    new_task(team, priority=5)
    assert api(owner).get(f"/task/status/{second.pk}").json()["queue_position"] == 3


def test_the_etag_spares_an_answer_until_something_changes(api, team, owner):
    first, second = new_task(team), new_task(team)
    path = f"/task/status/{second.pk}"
    tag = api(owner).get(path)["ETag"]
    again = api(owner).get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == tag
    assert api(owner).get(path, headers={"If-None-Match": f'"x", W/{tag}'}).status_code == 304
    transitions.cancel(first, by=owner)  # moves the second one up, without touching its row
    moved = api(owner).get(path, headers={"If-None-Match": tag})
    assert moved.status_code == 200
    assert moved["ETag"] != tag


@pytest.mark.parametrize(
    "wait", ["31", "-1", "x", "1.5", "", "٣", "0" * 9 + "31", "0" * 9 + "9" * 5000]
)
def test_wait_is_a_number_of_seconds_up_to_thirty(api, team, owner, wait):
    answer = api(owner).get(f"/task/status/{new_task(team).pk}", {"wait": wait})
    assert answer.status_code == 400
    assert answer["Content-Type"] == PROBLEM
    assert "wait" in answer.json()["errors"]


def test_an_ended_task_is_answered_at_once(api, team, owner):
    task = ended_task(team, error="")
    answer = api(owner).get(f"/task/status/{task.pk}?wait=30")
    assert answer.json()["status"] == "succeeded"


def test_a_waiting_task_is_cancelled_at_once(api, team, owner):
    task = new_task(team)
    answer = api(owner).post(f"/task/cancel/{task.pk}")
    assert answer.status_code == 202
    assert answer.json().keys() == CONTRACT
    assert answer.json()["status"] == "cancelled"


def test_a_running_task_is_asked_to_stop_and_asking_again_is_no_fault(api, team, mate):
    task = running_task(team).task
    for _ in range(2):
        answer = api(mate).post(f"/task/cancel/{task.pk}")
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
    task.refresh_from_db()
    assert task.cancel_requested_at is not None


def test_what_has_ended_can_not_be_cancelled(api, team, owner):
    answer = api(owner).post(f"/task/cancel/{ended_task(team).pk}")
    assert answer.status_code == 409
    assert answer["Content-Type"] == PROBLEM
    assert answer.json()["status"] == 409
    assert answer.json()["task"]["status"] == "succeeded"


def test_the_result_is_json(api, team, owner):
    task = ended_task(team, result={"rows": 3})
    status = api(owner).get(f"/task/status/{task.pk}").json()
    answer = api(owner).get(status["result_url"])
    assert (answer.status_code, answer.json()) == (200, {"rows": 3})


def test_there_is_no_result_before_the_end_nor_of_a_failure(api, team, owner):
    failed = ended_task(team, Outcome.FAILED, error="The disk is full.")
    waiting = api(owner).get(f"/task/result/{new_task(team).pk}")
    assert (waiting.status_code, waiting.json()["task"]["status"]) == (409, "queued")
    answer = api(owner).get(f"/task/result/{failed.pk}")
    assert answer.status_code == 409
    assert answer.json()["task"]["error"] == "The disk is full."


DOORS = [
    ("get", "/task/status/{}"),
    ("get", "/task/result/{}"),
    ("post", "/task/cancel/{}"),
    ("get", "/api/tasks/{}/"),
    ("get", "/api/tasks/{}/events/"),
    ("post", "/api/tasks/{}/cancel/"),
    ("post", "/api/tasks/{}/retry/"),
]


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_a_stranger_finds_nothing(api, team, stranger, method, path):
    task = new_task(team)
    answer = getattr(api(stranger), method)(path.format(task.pk))
    assert answer.status_code == 404
    assert answer["Content-Type"] == PROBLEM
    # Nothing tells it from a task that isn't there.
    nothing = getattr(api(stranger), method)(path.format(uuid.uuid4()))
    assert nothing.json() == answer.json()
    task.refresh_from_db()
    assert (task.status, task.seq) == ("queued", 1)


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_nobody_is_asked_for_a_login(api, team, method, path):
    answer = getattr(api(), method)(path.format(new_task(team).pk))
    assert answer.status_code == 401
    assert answer["Content-Type"] == PROBLEM


@pytest.mark.parametrize("path", [path for method, path in DOORS if method == "post"])
def test_a_viewer_sees_but_moves_nothing(api, team, viewer, path):
    task = ended_task(team, Outcome.FAILED, error="No.")
    assert api(viewer).get(f"/task/status/{task.pk}").status_code == 200
    answer = api(viewer).post(path.format(task.pk))
    assert answer.status_code == 403
    assert answer["Content-Type"] == PROBLEM
    task.refresh_from_db()
    assert task.status == "failed"


@pytest.mark.parametrize("path", ["/task/status/17", "/api/tasks/17/", "/api/tasks/17/cancel/"])
def test_a_malformed_id_is_no_such_task(api, owner, path):
    assert api(owner).get(path).status_code == 404


def test_other_methods_are_refused(api, team, owner):
    answer = api(owner).post(f"/task/status/{new_task(team).pk}")
    assert answer.status_code == 405
    assert answer["Content-Type"] == PROBLEM


def test_a_failed_task_is_given_new_tries(api, team, mate):
    task = ended_task(team, Outcome.FAILED, error="No.")
    answer = api(mate).post(f"/api/tasks/{task.pk}/retry/")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert api(mate).post(f"/api/tasks/{task.pk}/retry/").status_code == 409


def test_the_list_is_filtered_ordered_and_paged(api, team, owner, stranger):
    queued, slow = new_task(team), new_task(team, queue="slow", priority=-1)
    failed = ended_task_of(team)

    def ids(query: str) -> list[str]:
        return [row["id"] for row in api(owner).get(f"/api/tasks/?{query}").json()["results"]]

    assert ids("") == [str(t.pk) for t in (failed, slow, queued)]
    assert ids("status=failed") == [str(failed.pk)]
    assert set(ids("status=failed&status=queued")) == {str(t.pk) for t in (failed, slow, queued)}
    assert ids("queue=slow&job=watched") == [str(slow.pk)]
    assert ids("ordering=priority")[0] == str(slow.pk)
    assert len(ids("page_size=2")) == 2
    assert api(owner).get("/api/tasks/?status=nonsense").status_code == 400
    assert api(stranger).get("/api/tasks/").json()["results"] == []


def ended_task_of(team) -> Task:
    """A failed one that is not taken from the others in the queue."""
    task = new_task(team, priority=9)
    Task.objects.filter(pk=task.pk).update(status="failed", seq=2)
    return task


def test_a_list_says_more_than_the_status(api, team, owner):
    new_task(team, owner, title="Nightly", args={"plan": 3})
    (row,) = api(owner).get("/api/tasks/").json()["results"]
    assert row.keys() > CONTRACT
    assert (row["title"], row["owner"], row["args"]) == ("Nightly", "owner", {"plan": 3})
    assert row["queue_position"] == 1


def test_a_list_costs_the_same_however_long(api, team, owner, django_assert_max_num_queries):
    for _ in range(20):
        new_task(team)
    client = api(owner)
    with django_assert_max_num_queries(8):
        rows = client.get("/api/tasks/").json()["results"]
    assert sorted(row["queue_position"] for row in rows) == list(range(1, 21))


def test_events_come_oldest_first_and_after_a_number(api, team, owner, stranger):
    run = running_task(team)
    run.report(1, line="hello")
    path = f"/api/tasks/{run.task.pk}/events/"
    rows = api(owner).get(path).json()["results"]
    assert [(row["seq"], row["kind"]) for row in rows] == [(1, "move"), (2, "move"), (3, "log")]
    assert rows[2]["message"] == "hello"
    later = api(owner).get(path, {"after": 2}).json()["results"]
    assert [row["seq"] for row in later] == [3]
    newest = api(owner).get("/api/events/", {"task": str(run.task.pk), "kind": "log"}).json()
    assert [row["message"] for row in newest["results"]] == ["hello"]
    assert api(stranger).get("/api/events/").json()["results"] == []


def test_workers_are_shown_and_whether_they_live(api, viewer):
    from tasks import clock

    for name, age in (("here", 0), ("gone", 60)):
        Worker.objects.create(name=name, host="h", pid=1, heartbeat_at=clock.now(-age))
    rows = api(viewer).get("/api/workers/").json()["results"]
    assert [(row["name"], row["alive"]) for row in rows] == [("gone", False), ("here", True)]


def test_every_path_is_in_the_openapi_document(client):
    paths = client.get("/api/schema/?format=json").json()["paths"]
    assert paths.keys() >= {
        "/task/status/{id}", "/task/cancel/{id}", "/task/result/{id}",
        "/api/tasks/", "/api/tasks/{id}/", "/api/tasks/{id}/cancel/", "/api/tasks/{id}/retry/",
        "/api/tasks/{id}/events/", "/api/events/", "/api/events/{id}/",
        "/api/workers/", "/api/workers/{id}/", "/statusz",
    }  # fmt: skip
    status = paths["/task/status/{id}"]["get"]
    assert {"200", "304", "400", "401", "404"} <= status["responses"].keys()
    assert {p["name"] for p in status["parameters"]} >= {"id", "wait", "If-None-Match"}
