"""Concurrency keys: tasks of one key take turns, and nobody else waits for them."""

from __future__ import annotations

import os
import signal
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.db.models import Exists
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tasks import places, processes, queue, reaper, transitions, turns
from tasks.forks import Fork
from tasks.models import Attempt, Task, Turn
from tasks.places import Place
from tasks.states import Outcome, Status, WhenBusy
from tasks.tests.crew import Toys, Work, crew, until

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 120  # seconds: 30 tasks by two workers, on a busy machine


def claim() -> Task | None:
    return queue.claim(["default", "quiet"], "me")


def end(task: Task, outcome: Outcome = Outcome.SUCCEEDED, **options) -> None:
    assert transitions.finish(task.pk, task.attempt, outcome, **options)


def at_key(toys: Toys, **options) -> Work:
    return toys.push("nothing", concurrency_key="k", **options)


def test_it_works(toys):
    first, second, other = at_key(toys), at_key(toys), toys.push("nothing")
    running = claim()
    assert running.pk == first.pk
    assert Turn.objects.get().task_id == first.pk
    assert claim().pk == other.pk, "who has no key waits for nobody"
    assert claim() is None
    assert not queue.due(["default"]).exists(), "nobody shall be woken for it"
    end(running)
    assert claim().pk == second.pk


def test_as_many_run_at_once_as_the_limit_says(toys):
    works = [at_key(toys, concurrency_limit=3) for _ in range(5)]
    running = [claim() for _ in range(3)]
    assert claim() is None
    assert sorted(Turn.objects.values_list("place", flat=True)) == [0, 1, 2]
    end(running[1])
    assert claim().pk == works[3].pk
    assert sorted(Turn.objects.values_list("place", flat=True)) == [0, 1, 2]


@pytest.mark.parametrize(
    "outcome", [Outcome.FAILED, Outcome.CRASHED, Outcome.CANCELLED, Outcome.INTERRUPTED]
)
def test_every_end_of_an_attempt_gives_the_turn_back(toys, outcome):
    at_key(toys)
    end(claim(), outcome)
    assert not Turn.objects.exists()


def test_a_task_that_rests_before_its_next_try_keeps_nobody_waiting(toys):
    first, second = at_key(toys), at_key(toys)
    end(claim(), Outcome.FAILED, retry_after=60)
    assert claim().pk == second.pk
    Task.objects.filter(pk=first.pk).update(run_at=timezone.now())
    assert claim() is None


def test_a_turn_held_by_the_dead_is_given_back_by_the_reaper(toys):
    first, second = at_key(toys), at_key(toys)
    claim()
    Attempt.objects.update(minder="999999999.1")
    reaper.reap()
    Task.objects.filter(pk=first.pk).update(run_at=timezone.now() + timedelta(seconds=60))
    assert claim().pk == second.pk


def test_turns_go_by_priority_and_time(toys):
    late, early = at_key(toys), at_key(toys, run_at=timezone.now() - timedelta(seconds=60))
    urgent = at_key(toys, priority=5)
    order = []
    while task := claim():
        order.append(task.pk)
        end(task)
    assert order == [urgent.pk, early.pk, late.pk]


def test_who_does_not_want_to_wait_is_cancelled_and_told_for_whom(toys, tmp_path):
    holder = at_key(toys, title="Nightly")
    skipped = at_key(toys, when_busy=WhenBusy.SKIP, args={"told": str(tmp_path / "told")})
    other = toys.push("nothing")
    assert claim().pk == holder.pk
    assert claim().pk == other.pk, "and the claim goes on to the next"
    told = f"Skipped: Nightly ({holder.pk}) has its turn at k."
    assert (skipped.row.status, skipped.row.message) == (Status.CANCELLED, told)
    assert skipped.history[-1] == told
    assert "cancelled 0" in (tmp_path / "told").read_text()


def test_who_does_not_want_to_wait_runs_where_nobody_does(toys):
    at_key(toys, when_busy="skip")
    assert claim() is not None


def test_a_turn_that_somebody_else_took_in_the_same_moment_leaves_no_trace(toys, monkeypatch):
    running, late = at_key(toys), at_key(toys)
    claim()
    blind = Task.objects.filter(status=Status.QUEUED)
    monkeypatch.setattr(queue, "due", lambda queues, **_: blind)
    assert claim() is None
    row = late.row
    assert (row.status, row.attempt, row.seq, late.attempts) == (Status.QUEUED, 0, 1, [])
    assert Turn.objects.get().task_id == running.pk


def test_tasks_without_a_key_cost_no_statement_more(toys):
    def about_turns(key: str) -> list[str]:
        toys.push("nothing", concurrency_key=key)
        with CaptureQueriesContext(connection) as asked:
            end(claim())
        return [one["sql"].split()[0] for one in asked if "tasks_turn" in one["sql"]]

    assert about_turns("") in (["WITH"], ["SELECT", "UPDATE"]), "the claim itself"
    changes = [verb for verb in about_turns("k") if verb in ("INSERT", "DELETE")]
    assert changes == ["INSERT", "DELETE"]


def test_a_place_in_the_queue_counts_those_that_start_before(toys):
    holder = at_key(toys)
    waiting = [at_key(toys), at_key(toys)]
    free = [toys.push("nothing") for _ in range(2)]
    claim()
    told = "Waits for its turn at k."
    expected = {
        holder.pk: None,
        waiting[0].pk: Place(1, told),
        waiting[1].pk: Place(2, told),
        free[0].pk: Place(1),
        free[1].pk: Place(2),
    }
    assert {work.pk: places.of(work.row) for work in (holder, *waiting, *free)} == expected
    # The same from one list, as pages of many tasks have it.
    more = [toys.push("nothing") for _ in range(5)]
    listed = places.of_all([work.row for work in (holder, *waiting, *free, *more)])
    assert {pk: listed.get(pk) for pk in expected} == expected
    assert listed[more[-1].pk] == Place(7)


def test_what_it_waits_for_is_told(toys, api, owner):
    at_key(toys)
    waiting = at_key(toys)
    client, path = api(owner), f"/task/status/{waiting.pk}"
    before = client.get(path)
    running = claim()
    body = client.get(path)
    assert body.json()["message"] == "Waits for its turn at k."
    assert body["ETag"] != before["ETag"]
    end(running)
    assert client.get(path).json()["message"] == ""


def test_a_turn_without_a_running_task_is_swept_away(toys):
    at_key(toys)
    first = claim()
    assert turns.sweep() == 0
    Task.objects.update(status=Status.FAILED)  # as a release that knows no turns would have it
    second = at_key(toys)
    assert claim() is None
    assert turns.sweep() == 1
    assert claim().pk == second.pk
    assert first.pk != second.pk


def test_claims_of_many_processes_never_exceed_the_limit(toys, tmp_path):
    works = [at_key(toys, concurrency_limit=2) for _ in range(30)]

    def claim_all() -> None:
        while Task.objects.filter(status=Status.QUEUED).exists():
            if task := queue.claim(["default"], f"{os.getpid()}"):
                assert Turn.objects.filter(key="k").count() <= 2
                note(tmp_path / "ledger", f"+{task.pk}")
                note(tmp_path / "ledger", f"-{task.pk}")
                end(task)
        connections.close_all()
        os._exit(0)

    forks = [Fork(claim_all) for _ in range(4)]
    assert all(fork.wait(60) and fork.status == 0 for fork in forks)
    assert most_at_once(tmp_path / "ledger") <= 2
    assert Counter(work.row.status for work in works) == {Status.SUCCEEDED: 30}
    assert not Turn.objects.exists()


def note(path, line: str) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def most_at_once(path) -> int:
    running, most = 0, 0
    for line in path.read_text().splitlines():
        running += 1 if line[0] == "+" else -1
        most = max(most, running)
    return most


def overlapping(toys: Toys) -> int:
    """How many of the jobs' own processes were ever at it together, by the ledger outside."""
    running, most = set[str](), 0
    for task, attempt, _, what, _ in toys.ledger.lines:
        if what == "begin":
            running.add(f"{task} {attempt}")
        elif what == "end":
            running.discard(f"{task} {attempt}")
        most = max(most, len(running))
    return most


def test_killed_workers_give_their_turns_back(toys, tmp_path):
    options = {"concurrency_key": "k", "concurrency_limit": 2, "max_attempts": 9}
    works = [toys.push("sleep", args={"seconds": 2}, **options) for _ in range(4)]

    def both() -> list[Attempt]:
        found = list(Attempt.objects.filter(outcome="").exclude(child=""))
        return found if len(found) == 2 else []

    with crew(tmp_path, workers=3) as workers:
        killed = until(both, what="two run")
        for attempt in killed:
            minder = int(attempt.minder.partition(".")[0])
            assert minder in workers.called("worker")
            processes.kill(minder, signal.SIGKILL)
        assert all(work.ends(60).status == Status.SUCCEEDED for work in works)
    for attempt in killed:
        attempt.refresh_from_db()
        assert attempt.outcome == Outcome.LOST
    assert overlapping(toys) <= 2 + len(killed), "the killed tell no end"
    assert not Turn.objects.exists()


def test_real_workers_keep_to_the_limit_and_lose_none(toys, shared_workers):
    works = [
        toys.push("sleep", args={"seconds": 0.15}, concurrency_key="k", concurrency_limit=2)
        for _ in range(30)
    ]
    until(lambda: not Task.objects.exclude(status=Status.SUCCEEDED).exists(), MANY, "all are done")
    assert overlapping(toys) == 2
    assert all(toys.ledger.of(work, "end") == [1] for work in works)
    assert not Turn.objects.exists()


def test_what_is_due_can_be_asked_inside_another_query(toys):
    at_key(toys, queue="quiet")  # the workers of the test before may still be there
    waiting = at_key(toys, queue="quiet")
    others = Task.objects.filter(pk=waiting.pk).annotate(due=Exists(queue.due(["quiet"])))
    assert others.get().due
    claim()
    assert not others.get().due
