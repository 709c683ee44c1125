"""`/api/queues/` and `/api/workers/`: how queues stand, and who works."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from tasks import pauses, queue
from tasks.models import Pause
from tasks.tests.test_send_canaries import new_worker
from tasks.tests.work import new_task

pytestmark = pytest.mark.django_db

QUEUES, WORKERS = "/api/queues/", "/api/workers/"


@pytest.fixture
def worker(team):
    return new_worker("one:1:1", ["default", "far"], capacity=3)


@pytest.fixture
def operator(mate):
    mate.is_staff = True
    mate.save()
    return mate


def test_it_works(worker, team, api, mate, owner):
    new_task(team, run_at=timezone.now() - timedelta(seconds=50))
    assert queue.claim(["default"], worker.name)
    new_task(team, run_at=timezone.now() - timedelta(seconds=40))
    new_task(team, queue="alone")
    pauses.pause(Pause.Kind.QUEUE, "far", by=owner, reason="A new disk")
    found = {one.pop("name"): one for one in api(mate).get(QUEUES).json()}
    assert sorted(found) == ["alone", "default", "far"]
    assert 40 <= found["default"].pop("oldest_seconds") < 50
    assert found["default"] == {
        "waiting": 1,
        "running": 1,
        "slots": 3,
        "slots_free": 2,
        "paused": None,
        "canary": None,
    }
    assert found["far"]["paused"]["reason"] == "A new disk"
    assert found["far"]["paused"]["by"] == owner.username
    assert (found["alone"]["waiting"], found["alone"]["slots"]) == (1, 0)


def test_who_is_not_signed_in_learns_nothing(worker, api):
    assert api().get(QUEUES).status_code == api().get(WORKERS).status_code == 401


def test_workers_tell_how_many_they_run(worker, team, api, viewer):
    new_task(team)
    queue.claim(["default"], worker.name)
    (told,) = api(viewer).get(WORKERS).json()["results"]
    assert (told["running"], told["capacity"], told["alive"]) == (1, 3, True)
    assert (told["draining"], told["drain_asked_at"]) == (False, None)


def test_the_staff_drain_a_worker(worker, api, operator):
    answer = api(operator).post(f"{WORKERS}{worker.pk}/drain/")
    assert answer.status_code == 202
    assert answer.json()["draining"] is True
    worker.refresh_from_db()
    assert worker.drain_asked_at is not None
    assert LogEntry.objects.get().change_message == "Asked to drain."
    assert api(operator).post(f"{WORKERS}{worker.pk}/drain/").status_code == 409
    assert api(operator).get(QUEUES).json()[0]["slots"] == 0, "it takes nothing more"


def test_others_do_not(worker, api, owner):
    assert api(owner).post(f"{WORKERS}{worker.pk}/drain/").status_code == 403
    worker.refresh_from_db()
    assert worker.drain_asked_at is None


def test_a_daemon_has_nothing_to_drain(api, operator):
    daemon = new_worker("one:2:2", [], kind="daemon")
    assert api(operator).post(f"{WORKERS}{daemon.pk}/drain/").status_code == 409


def test_the_number_of_queries_does_not_grow(team, api, mate, django_assert_max_num_queries):
    for n in range(10):
        new_worker(f"one:{n}:{n}", [f"queue-{n}"])
        new_task(team, queue=f"queue-{n}")
    client = api(mate)
    with django_assert_max_num_queries(11):
        assert len(client.get(QUEUES).json()) == 11
    with django_assert_max_num_queries(8):
        assert client.get(WORKERS).json()["count"] == 10
