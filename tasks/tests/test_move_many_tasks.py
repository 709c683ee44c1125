"""Bulk work: cancelling and retrying many tasks by a task of its own."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import Membership, Role, Team
from tasks import bulk, clock, pauses, processes, queue, transitions
from tasks.bulk import Action
from tasks.models import Pause, Task
from tasks.states import Outcome, Status
from tasks.tests.crew import Toys, Work, until
from tasks.tests.work import new_task

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/tasks/bulk/"


class Alone:
    """A context for a job that is run right here."""

    def __init__(self, task: Task, attempt: int = 1) -> None:
        self.task_id, self.args, self.attempt = str(task.pk), task.args, attempt
        self.told: tuple[int, int | None] = (0, None)

    def progress(self, done: int, total: int | None = None, *, unit: str = "bytes") -> None:
        assert unit == "tasks"
        self.told = (done, total)


def run(task: Task, attempt: int = 1) -> dict:
    context = Alone(task, attempt)
    result = bulk.run(context)
    assert context.told == (result["matched"], result["matched"] or None)
    return result


def failed(team, *, quarantined: bool = False, **options) -> Task:
    task = queue.push(job="toy-nothing", team=team, **options)
    Task.objects.filter(pk=task.pk).update(
        status=Status.FAILED,
        finished_at=clock.now(),
        quarantined_at=clock.now() if quarantined else None,
    )
    return task


def statuses(tasks) -> list[str]:
    rows = Task.objects.in_bulk([task.pk for task in tasks])
    return [rows[task.pk].status for task in tasks]


def test_it_works(toys, team, mate):
    tasks = [failed(team) for _ in range(5)]
    ours = bulk.ask("retry", {"status": "failed"}, team=team, by=mate)
    late = failed(team)
    assert run(ours) == {"action": "retry", "matched": 5, "done": 5, "refused": {}}
    assert statuses(tasks) == [Status.QUEUED] * 5
    assert statuses([late]) == [Status.FAILED], "it failed after the asking"
    assert run(ours)["done"] == 0


def test_quarantine_is_left_only_by_name(toys, team, mate):
    tasks = [failed(team), failed(team, quarantined=True)]
    ours = bulk.ask("retry", {"status": "failed"}, team=team, by=mate)
    assert run(ours) == {
        "action": "retry",
        "matched": 2,
        "done": 1,
        "refused": {bulk.QUARANTINED: 1},
    }
    named = bulk.ask("retry", {"quarantined": True}, team=team, by=mate)
    assert run(named)["done"] == 1
    assert statuses(tasks) == [Status.QUEUED] * 2


def test_running_ones_are_asked_to_stop(toys, team, mate):
    toys.push("nothing")
    running = queue.claim(["default"], "me")
    assert run(bulk.ask("cancel", {"status": ["queued", "running"]}, team=team, by=mate))["done"]
    assert Work(running).row.cancel_requested_at is not None


def test_another_teams_tasks_are_not_touched(toys, team, mate):
    elsewhere = Team.objects.create(name="Elsewhere")
    Membership.objects.create(user=mate, team=elsewhere, role=Role.VIEWER)
    theirs = failed(elsewhere)
    assert run(bulk.ask("retry", {"job": "toy-nothing"}, team=team, by=mate))["matched"] == 0
    assert run(bulk.ask("retry", {"job": "toy-nothing"}, team=elsewhere, by=mate))["matched"] == 0
    assert statuses([theirs]) == [Status.FAILED]


def test_rights_are_those_of_the_moment(toys, team, mate, monkeypatch):
    tasks = [failed(team) for _ in range(3)]
    ours = bulk.ask("retry", {"job": "toy-nothing"}, team=team, by=mate)
    Membership.objects.filter(user=mate).update(role=Role.VIEWER)
    assert run(ours)["matched"] == 0
    Membership.objects.filter(user=mate).update(role=Role.OPERATOR)
    monkeypatch.setattr(bulk, "AT_ONCE", 1)

    def and_then_no_more(task, **options):
        Membership.objects.filter(user=mate).delete()
        return transitions.retry(task, **options)

    monkeypatch.setitem(bulk.MOVES, Action.RETRY, and_then_no_more)
    assert run(ours) == {
        "action": "retry",
        "matched": 3,
        "done": 1,
        "refused": {bulk.NOT_YOURS: 2},
    }
    assert sorted(statuses(tasks)) == [Status.FAILED, Status.FAILED, Status.QUEUED]


def test_one_that_moved_meanwhile_is_told(toys, team, mate, monkeypatch):
    for _ in range(2):
        failed(team)
    ours = bulk.ask("retry", {"job": "toy-nothing"}, team=team, by=mate)

    def too_late(task, **options):
        Task.objects.filter(status=Status.FAILED).exclude(pk=task.pk).update(status="queued")
        return transitions.retry(task, **options)

    monkeypatch.setitem(bulk.MOVES, Action.RETRY, too_late)
    assert run(ours)["refused"] == {bulk.LATE: 1}


def test_what_an_attempt_before_had_done_counts(toys, team, mate):
    for _ in range(4):
        failed(team, args={"half": True})
    ours = bulk.ask("retry", {"job": "toy-nothing"}, team=team, by=mate)
    first = Task.objects.filter(job="toy-nothing").first()
    transitions.retry(first, by=mate, within=f"in bulk {ours.pk}")
    assert run(ours, attempt=2) == {"action": "retry", "matched": 4, "done": 4, "refused": {}}


@pytest.mark.parametrize(
    ("named", "field"),
    [
        ({}, "filter"),
        ({"nonesuch": 1}, "nonesuch"),
        ({"status": "sleepy"}, "status"),
        ({"quarantined": "maybe"}, "quarantined"),
        ({"priority": "high"}, "priority"),
        ({"id": ["17"]}, "id"),
        ({"finished_after": "yesterday"}, "finished_after"),
        ({"job": ""}, "job"),
        ({"job": []}, "job"),
        ({"job": {"name": "x"}}, "job"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(team, mate, api, named, field):
    with pytest.raises(ValidationError) as refused:
        bulk.ask("cancel", named, team=team, by=mate)
    assert field in refused.value.message_dict
    answer = api(mate).post(PATH, {"action": "cancel", "filter": named}, format="json")
    assert answer.status_code == 400
    expected = field if field == "filter" else f"filter.{field}"
    assert any(name.startswith(expected) for name in answer.json()["errors"])
    assert not Task.objects.exists()


# REST -----------------------------------------------------------------------------------------


def test_it_is_asked_for_over_rest(api, team, mate):
    failed(team)
    body = {"action": "retry", "filter": {"job": "toy-nothing", "status": ["failed"]}}
    counted = api(mate).post(f"{PATH}?dry_run=true", body, format="json")
    assert (counted.status_code, counted.json()) == (
        200,
        {"action": "retry", "matched": 1, "refused": {}},
    )
    assert Task.objects.count() == 1
    answer = api(mate).post(PATH, body, format="json", headers={"Idempotency-Key": "k"})
    assert answer.status_code == 202
    assert (answer.json()["job"], answer.json()["owner"]) == ("bulk", "mate")
    again = api(mate).post(PATH, body, format="json", headers={"Idempotency-Key": "k"})
    assert again.json()["id"] == answer.json()["id"]
    other = {**body, "action": "cancel"}
    refused = api(mate).post(PATH, other, format="json", headers={"Idempotency-Key": "k"})
    assert refused.status_code == 409
    assert run(Task.objects.get(pk=answer.json()["id"]))["done"] == 1


def test_who_may_not_run_tasks_may_not_move_many(api, team, viewer, stranger, superuser):
    task = failed(team)
    body = {"action": "retry", "filter": {"id": str(task.pk)}}
    assert api(viewer).post(PATH, body, format="json").status_code == 403
    assert api().post(PATH, body, format="json").status_code == 401
    hidden = api(stranger).post(PATH, {**body, "team": team.pk}, format="json")
    assert (hidden.status_code, list(hidden.json()["errors"])) == (400, ["team"])
    own = api(stranger).post(f"{PATH}?dry_run=1", body, format="json")
    assert own.json()["matched"] == 0
    named = api(superuser).post(f"{PATH}?dry_run=1", {**body, "team": team.pk}, format="json")
    assert named.json()["matched"] == 1
    assert api(superuser).post(PATH, body, format="json").status_code == 400


def test_it_is_in_the_openapi_document(client):
    operation = client.get("/api/schema/?format=json").json()["paths"][PATH]["post"]
    assert {"200", "202", "400", "403", "409"} <= operation["responses"].keys()
    assert {one["name"] for one in operation["parameters"]} == {"dry_run", "Idempotency-Key"}
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["$ref"].endswith("Bulk")


# With workers: last, since they stay -----------------------------------------------------------


def test_workers_do_it(toys: Toys, team, mate, shared_workers):
    # Not due, so that nobody starts them meanwhile.
    later = timezone.now() + timedelta(days=1)
    waiting = [toys.push("nothing", run_at=later) for _ in range(30)]
    other = toys.push("sleep", run_at=later)
    work = Work(bulk.ask(Action.CANCEL, {"job": "toy-nothing"}, team=team, by=mate))
    row = work.ends()
    assert row.result == {"action": "cancel", "matched": 30, "done": 30, "refused": {}}
    assert (row.progress_done, row.progress_total, row.progress_unit) == (30, 30, "tasks")
    assert {one.row.status for one in waiting} == {Status.CANCELLED}
    assert waiting[0].history[-1] == f"Cancelled by mate in bulk {work.pk}"
    assert other.row.status == Status.QUEUED


def test_killed_in_the_middle_it_goes_on_and_counts_all(toys, team, mate, shared_workers):
    later = timezone.now() + timedelta(days=1)
    tasks = [toys.push("nothing", run_at=later) for _ in range(300)]
    work = Work(bulk.ask("cancel", {"job": "toy-nothing"}, team=team, by=mate))
    attempt = work.runs()
    until(lambda: Task.objects.filter(status=Status.CANCELLED).count() > 10, what="it is at it")
    processes.kill(int(attempt.child.partition(".")[0]), signal.SIGKILL)
    assert work.ends(60).result == {"action": "cancel", "matched": 300, "done": 300, "refused": {}}
    assert work.outcomes == [Outcome.CRASHED, Outcome.SUCCEEDED]
    assert {task.row.status for task in tasks} == {Status.CANCELLED}


def test_it_can_be_cancelled_itself(toys, team, mate, shared_workers):
    later = timezone.now() + timedelta(days=1)
    for _ in range(300):
        toys.push("nothing", run_at=later)
    work = Work(bulk.ask("cancel", {"queue": "default"}, team=team, by=mate))
    until(lambda: Task.objects.filter(status=Status.CANCELLED).exists(), what="it is at it")
    transitions.cancel(work.row, by=mate)
    assert work.ends().status == Status.CANCELLED
    assert Task.objects.filter(status=Status.QUEUED).exists()


def test_a_paused_queue_does_not_keep_its_tasks_from_being_cancelled(team, mate):
    """What an operator does first of all, before cancelling what shall not go on."""
    held = new_task(team)
    pauses.pause(Pause.Kind.QUEUE, "default", by=mate)
    ours = bulk.ask("cancel", {"status": "queued"}, team=team, by=mate)
    claimed = queue.claim(["default"], "tests")
    assert claimed is not None
    assert claimed.pk == ours.pk
    assert pauses.over(ours) is None
    pauses.pause(Pause.Kind.JOB, bulk.JOB, by=mate)
    again = bulk.ask("cancel", {"status": "queued"}, team=team, by=mate)
    assert queue.claim(["default"], "tests") is None
    assert {pauses.over(row) is None for row in (held, again)} == {False}
