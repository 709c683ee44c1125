"""Pausing and resuming a queue or a kind of job."""

from __future__ import annotations

import os
import time

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connections, transaction

from accounts import policy
from tasks import checks, clock, places, queue
from tasks.broker import TokenBroker
from tasks.forks import Fork
from tasks.models import Attempt, Pause, Task, Worker
from tasks.pauses import pause, resume
from tasks.states import Status
from tasks.tests.crew import Toys, until

pytestmark = pytest.mark.django_db(transaction=True)

QUEUE, JOB = Pause.Kind.QUEUE, Pause.Kind.JOB
LIST = "/api/pauses/"
BODY = {"kind": "queue", "name": "default", "reason": "A new disk"}
TOLD = "Paused: the queue default is held back (A new disk)."


def claim() -> Task | None:
    return queue.claim(["default", "other"], "me")


def test_it_works(toys: Toys, owner):
    pause(QUEUE, "default", by=owner)
    work, other = toys.push("nothing"), toys.push("nothing", queue="other")
    assert claim().pk == other.pk
    assert claim() is None
    assert resume(QUEUE, "default", by=owner)
    assert claim().pk == work.pk
    assert not resume(QUEUE, "default", by=owner)


def test_a_kind_of_job_is_held_back_in_every_queue(toys, owner):
    pause(JOB, "toy-sleep", by=owner)
    for name in ("default", "other"):
        toys.push("sleep", queue=name)
    work = toys.push("nothing")
    assert claim().pk == work.pk
    assert claim() is None


def test_a_queue_and_a_job_of_the_same_name_are_not_confused(toys, owner):
    pause(JOB, "default", by=owner)
    pause(QUEUE, "toy-nothing", by=owner)
    toys.push("nothing")
    assert claim() is not None


def test_pausing_again_changes_nothing(owner, mate):
    first = pause(QUEUE, "default", by=owner, reason="One")
    again = pause(QUEUE, "default", by=mate, reason="Two")
    assert (again.pk, again.by, again.reason) == (first.pk, owner, "One")
    assert LogEntry.objects.count() == 1


def test_who_did_it_is_written_down(owner, mate):
    pause(QUEUE, "default", by=owner, reason="A new disk")
    resume(QUEUE, "default", by=mate)
    entries = LogEntry.objects.order_by("pk")
    lines = [(entry.user, entry.object_repr, entry.change_message) for entry in entries]
    assert lines == [
        (owner, "queue default", "Paused. A new disk"),
        (mate, "queue default", "Resumed."),
    ]


def test_what_waits_says_so(toys, api, owner):
    work = toys.push("nothing")
    client, path = api(owner), f"/task/status/{work.pk}"
    before = client.get(path)
    pause(QUEUE, "default", by=owner, reason="A new disk")
    body = client.get(path)
    assert (body.json()["message"], body.json()["queue_position"]) == (TOLD, None)
    assert body["ETag"] != before["ETag"]
    many = [toys.push("nothing") for _ in range(8)]
    assert {place.why for place in places.of_all(one.row for one in many).values()} == {TOLD}
    resume(QUEUE, "default", by=owner)
    assert client.get(path).json() == before.json()


def test_others_do_not_count_what_is_held_back_as_before_them(toys, owner):
    toys.push("sleep")
    work = toys.push("nothing")
    assert queue.position(work.row) == 2
    pause(JOB, "toy-sleep", by=owner)
    assert queue.position(work.row) == 1


def test_nobody_is_woken_and_nothing_seems_to_hang(toys, owner):
    toys.push("nothing")
    pause(QUEUE, "default", by=owner)
    broker = TokenBroker("tests", queues=["default"], name="me")
    assert broker.dequeue() is None
    assert not queue.due(["default"]).exists(), "which is what the watchdog asks"
    broker.close()


def test_a_paused_queue_needs_no_worker(toys, owner):
    serving = {"name": "here", "host": "h", "pid": 1, "queues": ["default"], "capacity": 1}
    Worker.objects.create(heartbeat_at=clock.now(), **serving)
    toys.push("nothing", queue="other")
    with pytest.raises(checks.MissingError):
        checks.workers()
    pause(QUEUE, "other", by=owner)
    assert checks.workers().startswith("1 running")


def test_from_the_commit_on_nothing_is_claimed_by_anybody(toys, owner, tmp_path):
    for _ in range(120):
        toys.push("nothing")

    def claim_all() -> None:
        while not (tmp_path / "stop").exists():
            queue.claim(["default"], f"{os.getpid()}")
        connections.close_all()
        os._exit(0)

    forks = [Fork(claim_all) for _ in range(4)]
    try:
        until(lambda: Attempt.objects.count() > 10, what="some are claimed")
        pause(QUEUE, "default", by=owner)
        claimed = Attempt.objects.count()
        for _ in range(10):  # should they have been that quick
            toys.push("nothing")
        time.sleep(0.5)
        assert Attempt.objects.count() == claimed
        resume(QUEUE, "default", by=owner)
        until(lambda: Attempt.objects.count() == 130, what="the rest is claimed")
    finally:
        (tmp_path / "stop").touch()
        assert all(fork.wait(60) for fork in forks)


def test_a_pause_that_is_rolled_back_holds_nothing(toys, owner):
    toys.push("nothing")
    with transaction.atomic():
        pause(QUEUE, "default", by=owner)
        transaction.set_rollback(True)
    assert claim() is not None


def test_workers_leave_alone_what_is_paused_and_end_what_runs(toys, shared_workers, owner):
    running = toys.push("sleep", args={"seconds": 1})
    running.runs()
    pause(QUEUE, "default", by=owner)
    waiting = [toys.push("nothing") for _ in range(3)]
    pool = shared_workers.called("pool")
    assert running.ends().status == Status.SUCCEEDED
    time.sleep(6)  # longer than idle workers may look on while something is due
    assert [work.row.status for work in waiting] == [Status.QUEUED] * 3
    assert shared_workers.called("pool") == pool, "nobody thinks that it hangs"
    resume(QUEUE, "default", by=owner)
    assert all(work.ends().status == Status.SUCCEEDED for work in waiting)


# REST -----------------------------------------------------------------------------------------


@pytest.fixture
def staff(mate):
    mate.is_staff = True
    mate.save()
    return mate


def test_staff_pauses_and_resumes_over_rest(api, staff, viewer):
    answer = api(staff).post(LIST, BODY, format="json")
    assert answer.status_code == 201
    body = answer.json()
    assert body | BODY == body
    assert (body["by"], body["since"][-1]) == ("mate", "Z")
    assert api(staff).post(LIST, BODY, format="json").status_code == 200
    assert api(viewer).get(LIST, {"kind": "queue"}).json()["results"] == [body]
    assert api(staff).delete(f"{LIST}{body['id']}/").status_code == 204
    assert not Pause.objects.exists()
    assert api(staff).delete(f"{LIST}{body['id']}/").status_code == 404


def test_others_may_only_look(api, owner, superuser):
    assert api(owner).post(LIST, BODY, format="json").status_code == 403
    assert api().get(LIST).status_code == 401
    held = pause(QUEUE, "default", by=superuser)
    answer = api(owner).delete(f"{LIST}{held.pk}/")
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"
    assert Pause.objects.exists()
    assert policy.may_operate(superuser)
    superuser.is_active = False
    assert not policy.may_operate(superuser)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "world"}, "kind"),
        ({"name": ""}, "name"),
        ({"kind": "job", "name": "nonesuch"}, "name"),
        ({"reason": "x" * 201}, "reason"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(api, staff, change, field):
    answer = api(staff).post(LIST, {**BODY, **change}, format="json")
    assert answer.status_code == 400
    assert field in answer.json()["errors"]
    assert not Pause.objects.exists()


def test_it_is_in_the_openapi_document(client):
    paths = client.get("/api/schema/?format=json").json()["paths"]
    assert paths["/api/pauses/"].keys() >= {"get", "post"}
    assert {"200", "201", "400", "403"} <= paths["/api/pauses/"]["post"]["responses"].keys()
