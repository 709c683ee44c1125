"""Canaries: a small task through each queue proves that work flows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import Team
from accounts.models.teams import PLATFORM
from tasks import canaries, checks, clock, pauses, queue, transitions
from tasks.models import Canary, Event, Pause, Task, Worker
from tasks.states import Outcome, Status
from tasks.tests.crew import crew, daemon, until
from tasks.tests.test_tell_metrics import scraped, value
from tasks.tests.work import new_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker(team) -> Worker:
    return new_worker("one:1:1", ["default"])


def new_worker(name: str, queues: list[str], **more) -> Worker:
    fields = {"kind": "worker", "host": "one", "pid": 1, "capacity": 2}
    return Worker.objects.create(
        name=name, queues=queues, heartbeat_at=clock.now(), **(fields | more)
    )


def sent(name: str = "default") -> Task | None:
    return Task.objects.filter(job="canary", queue=name).order_by("-created_at").first()


def fly(name: str = "default", outcome: Outcome = Outcome.SUCCEEDED) -> None:
    """As a worker would have done it."""
    task = queue.claim([name], "one:1:1")
    assert task.job == "canary"
    transitions.finish(task.pk, task.attempt, outcome, error="Dead." * (outcome != "succeeded"))
    transitions.call_ended(task.pk)


def age(seconds: float, **filters) -> None:
    """As if all that had been so long ago."""
    for row in Task.objects.filter(job="canary", **filters):
        moments = {
            name: getattr(row, name) - timedelta(seconds=seconds)
            for name in ("created_at", "run_at", "finished_at")
            if getattr(row, name)
        }
        Task.objects.filter(pk=row.pk).update(**moments)
    for row in Canary.objects.all():
        for name in ("sent_at", "returned_at"):
            if moment := getattr(row, name):
                setattr(row, name, moment - timedelta(seconds=seconds))
        row.save()


@pytest.mark.django_db(transaction=True)
def test_it_works(team, tmp_path):
    fast = {"CANARY_SECONDS": "60"}
    with crew(tmp_path, "--queue", "default", "--queue", "far"), daemon(tmp_path, **fast):
        back = Canary.objects.filter(returned_at__isnull=False)
        until(lambda: back.count() == 2, what="both have come back")
    for canary in back:
        assert 0 < canary.seconds < 20
        assert not canary.out
    task = sent("far")
    assert task.team.name == PLATFORM
    assert (task.status, task.attempts.get().outcome) == ("succeeded", "succeeded")


def test_one_is_sent_through_each_queue_that_is_served(worker):
    new_worker("two:1:1", ["default", "far"])
    new_worker("dead:1:1", ["dead"], kind="worker")
    Worker.objects.filter(name="dead:1:1").update(heartbeat_at=clock.now(-60))
    canaries.tend()
    assert sorted(Canary.objects.values_list("queue", flat=True)) == ["default", "far"]
    assert Task.objects.filter(job="canary").count() == 2


def test_never_two_are_out_in_one_queue(worker):
    for _ in range(3):
        canaries.tend()
        age(120)
    assert Task.objects.filter(job="canary").count() == 1


def test_the_next_one_is_sent_a_minute_later(worker):
    canaries.tend()
    fly()
    canaries.tend()
    assert Task.objects.filter(job="canary").count() == 1
    age(60)
    canaries.tend()
    assert Task.objects.filter(job="canary").count() == 2


def test_none_is_sent_where_the_setting_says_so(worker, settings):
    settings.CANARY_SECONDS = 0
    canaries.tend()
    assert sent() is None


def test_none_is_sent_before_anybody_has_begun(db):
    new_worker("one:1:1", ["default"])
    canaries.tend()
    assert not Team.objects.exists()


def test_it_goes_before_all_others(worker, team):
    new_task(team, priority=1000)
    canaries.tend()
    assert queue.claim(["default"], "w").job == "canary"


def test_one_that_does_not_come_back_is_told_by_the_status(worker):
    canaries.tend()
    assert checks.workers() == "1 running, 2 attempts at once."
    age(31)
    with pytest.raises(checks.MissingError, match=r"queue 'default' stands still.* 31 s ago"):
        checks.workers()
    fly()
    assert checks.workers()


def test_while_all_workers_are_busy_nobody_calls_it_late(worker, team):
    for _ in range(2):
        new_task(team)
        assert queue.claim(["default"], worker.name)
    canaries.tend()
    age(3000)
    assert not canaries.standings()["default"].late
    assert checks.workers()


def test_what_is_paused_has_none_and_is_not_late(worker, owner):
    canaries.tend()
    age(3000)
    held = pauses.pause(Pause.Kind.QUEUE, "default", by=owner)
    assert canaries.standings() == {}
    assert checks.workers()
    pauses.resume(held.kind, held.name, by=owner)
    assert canaries.standings()["default"].late
    pauses.pause(Pause.Kind.JOB, "canary", by=owner)
    assert canaries.standings() == {}


def test_ones_that_die_count_as_not_come_back_from_the_first_on(worker):
    for _ in range(2):
        canaries.tend()
        fly(outcome=Outcome.FAILED)
        age(60)
    assert Task.objects.filter(job="canary", status="failed").count() == 2
    (told,) = canaries.standings().values()
    assert told.late
    assert told.age == pytest.approx(120, abs=10)


def test_a_queue_that_nobody_serves_any_more_is_not_waited_for(worker):
    canaries.tend()
    Worker.objects.all().delete()
    canaries.tend()
    assert sent().status == Status.CANCELLED
    assert not Canary.objects.get().out
    new_worker("two:1:1", ["default"])
    age(3000)
    assert canaries.standings() == {}, "until the next one is sent"


def test_rows_are_removed_after_some_minutes(worker):
    canaries.tend()
    fly()
    age(200)
    canaries.tend()
    fly()
    age(200)
    canaries.tend()
    assert Task.objects.filter(job="canary").count() == 2
    assert Event.objects.filter(task__job="canary").values("task").distinct().count() == 2


def test_people_do_not_see_them_in_their_lists(worker, team, api, client, superuser, mate):
    canaries.tend()
    task = sent()
    for person in (superuser, mate):
        for address in ("/api/tasks/", "/api/events/"):
            assert api(person).get(address).data["results"] == []
        client.force_login(person)
        assert "Canary of" not in client.get("/tasks/").content.decode()
        assert "Canary of" not in client.get("/").content.decode()
    assert api(superuser).get("/api/tasks/?job=canary").data["count"] == 1
    assert api(superuser).get(f"/api/tasks/{task.pk}/").status_code == 200
    assert api(mate).get("/api/tasks/?job=canary").data["count"] == 0
    assert api(mate).get(f"/api/tasks/{task.pk}/").status_code == 404
    client.force_login(superuser)
    assert "Canary of" not in client.get("/admin/tasks/task/").content.decode()
    assert "Canary of" in client.get("/admin/tasks/task/?job=canary").content.decode()


def test_nobody_adds_to_the_team_that_owns_them(worker, api, superuser, client):
    canaries.tend()
    platform = Team.of_platform()
    body = {"action": "cancel", "filter": {"job": "canary"}, "team": platform.pk}
    assert api(superuser).post("/api/tasks/bulk/", body).status_code == 403
    client.force_login(superuser)
    assert PLATFORM not in client.get("/destinations/new").content.decode()


def test_metrics_tell_how_old_the_last_is_and_how_long_it_took(worker):
    canaries.tend()
    fly()
    Canary.objects.update(seconds=0.25)
    age(40)
    samples = scraped()
    assert value("task_canary_age_seconds", samples, queue="default") == pytest.approx(40, abs=5)
    assert value("task_canary_seconds", samples, queue="default") == 0.25
    assert value("worker_slots", samples, queue="default") == 2
    assert value("worker_slots_free", samples, queue="default") == 2
    assert value("task_queue_depth", samples, queue="default") == 0
