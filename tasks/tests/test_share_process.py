"""Jobs that share a process: warm, and with the promises of those that have one of their own."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta

import pytest

from tasks import processes, traces, transitions
from tasks.states import Outcome, Status
from tasks.tests.crew import crew, until


@pytest.fixture(scope="module")
def one_worker(django_db_setup, django_db_blocker, tmp_path_factory):
    """One worker for the whole module, so that tasks follow each other in it."""
    with django_db_blocker.unblock(), crew(tmp_path_factory.mktemp("crew"), workers=1) as running:
        yield running


@pytest.fixture(autouse=True)
def worker(one_worker, toys):
    """Alive, and the same one, after each test."""
    before = one_worker.called("worker")
    yield one_worker
    assert one_worker.called("worker") == before


def place(toys) -> dict:
    """Where the next task that shares a process finds itself."""
    return toys.push("look-around-shared").ends().result


def test_it_works(toys, worker):
    first, second = place(toys), place(toys)
    assert first == second
    assert worker.called("share") == [first["pid"]]
    work = toys.push("nothing-shared")
    assert work.ends().status == Status.SUCCEEDED
    assert work.outcomes == [Outcome.SUCCEEDED]
    assert list(work.row.events.values_list("seq", flat=True)) == [1, 2, 3]


def test_an_isolated_attempt_in_between_leaves_it_alone(toys):
    before = place(toys)
    assert toys.push("spawn", args={"mark": "600", "leave": True}).ends().ended
    assert place(toys) == before


def test_programs_that_have_ended_and_the_database_leave_it_fit(toys):
    before = place(toys)["pid"]
    kinds = ["run-program", "count-tasks", "run-program", "count-tasks"]
    works = [toys.push(f"{kind}-shared") for kind in kinds]
    assert [work.ends().result["pid"] for work in works] == [before] * 4


@pytest.mark.parametrize(
    "what",
    [
        "working directory",
        "umask",
        "environment",
        "signal handlers",
        "timer",
        "streams",
        "threads",
        "processes",
    ],
)
def test_nothing_that_a_job_leaves_reaches_the_next(toys, what, worker):
    before = place(toys)
    mark = str(uuid.uuid4().int % 10**6 + 10**6)
    work = toys.push("litter-shared", args={"what": what, "mark": mark})
    assert work.ends().status == Status.SUCCEEDED
    after = place(toys)
    assert after["pid"] != before["pid"]
    assert (after["directory"], after["litter"]) == (before["directory"], None)
    assert f"left in its shared process: {what}. " in worker.log.read_text()
    assert not worker.called_with(f"sleep {mark}")


@pytest.mark.parametrize(
    ("how", "told", "outcome"),
    [
        ("exit", "ended with code 3 and no result", Outcome.CRASHED),
        ("sysexit", "ended its process itself (SystemExit)", Outcome.FAILED),
        ("kill", "was killed (SIGKILL)", Outcome.CRASHED),
        ("segfault", "was killed (SIGSEGV)", Outcome.CRASHED),
        ("memory", "ran out of memory", Outcome.FAILED),
        ("secret", "unexpected RuntimeError in toys.py, line", Outcome.FAILED),
        ("unserialisable", "unexpected TypeError", Outcome.FAILED),
        ("garbage", "something unreadable", Outcome.CRASHED),
    ],
)
@pytest.mark.alone
def test_a_bad_end_is_told_at_once_and_costs_the_process_its_place(toys, how, told, outcome):
    before = place(toys)["pid"]
    work = toys.push("die-shared", args={"how": how}, max_attempts=1)
    toys.ledger.wait_for(work, "begin")
    assert told in work.ends(seconds=3).error
    assert work.outcomes == [outcome]
    assert place(toys)["pid"] != before


def test_a_failure_that_a_job_tells_leaves_it_fit(toys):
    before = place(toys)["pid"]
    work = toys.push("die-shared", args={"how": "fail", "times": 1})
    assert work.ends().status == Status.SUCCEEDED
    assert work.outcomes == [Outcome.FAILED, Outcome.SUCCEEDED]
    assert place(toys)["pid"] == before


@pytest.mark.parametrize("kind", ["sleep", "hang", "compute", "stubborn", "spawn"])
@pytest.mark.alone
def test_a_cancel_kills_within_two_seconds(toys, kind, worker):
    before = place(toys)["pid"]
    mark = str(uuid.uuid4().int % 10**6 + 10**6)
    work = toys.push(f"{kind}-shared", args={"mark": mark})
    toys.ledger.wait_for(work, "begin")
    asked = time.monotonic()
    assert transitions.cancel(work.row, by=None)
    assert work.ends().status == Status.CANCELLED
    assert time.monotonic() - asked < 3
    assert not worker.called_with(f"sleep {mark}")
    assert place(toys)["pid"] != before


@pytest.mark.alone
def test_deadline_and_stall_are_kept_anew_for_each_attempt(toys):
    assert toys.push("sleep-shared", args={"seconds": 0.9}, stall_seconds=1).ends().result
    assert toys.push("sleep-shared", args={"seconds": 0.9}, deadline_seconds=2).ends().result
    late = toys.push("sleep-shared", deadline_seconds=1, max_attempts=1)
    still = toys.push("hang-shared", stall_seconds=1, max_attempts=1)
    assert "longer than its limit of 1 s" in late.ends().error
    assert "no progress for 1 s" in still.ends().error
    assert timedelta(seconds=1) <= late.row.finished_at - late.row.started_at


def test_progress_of_one_attempt_is_not_the_nexts(toys):
    assert toys.push("sleep-shared", args={"seconds": 0.3}).ends().progress_done == 300
    row = toys.push("nothing-shared").ends()
    assert (row.progress_done, row.progress_total) == (0, None)


def test_a_killed_process_is_noticed_and_its_task_tried_again(toys):
    work = toys.push("hang-shared", args={"seconds": 1})
    processes.kill(work.runs().pid)
    assert work.ends().status == Status.SUCCEEDED
    assert work.outcomes == [Outcome.CRASHED, Outcome.SUCCEEDED]


def test_one_killed_while_it_waits_costs_no_attempt(toys):
    before = place(toys)["pid"]
    processes.kill(before)
    until(lambda: not processes.identity(before))
    work = toys.push("nothing-shared")
    assert work.ends().status == Status.SUCCEEDED
    assert work.outcomes == [Outcome.SUCCEEDED]


def test_what_was_opened_is_undone_after_a_crash(toys, tmp_path):
    work = toys.push("open-shared", args={"folder": str(tmp_path), "crash": True, "times": 1})
    assert work.ends().status == Status.SUCCEEDED
    assert work.outcomes == [Outcome.CRASHED, Outcome.SUCCEEDED]
    assert not (tmp_path / "left-1").exists()
    assert (tmp_path / "left-2").exists()


def test_an_attempt_that_lost_its_task_is_fenced(toys, tmp_path):
    work = toys.push("confirm-shared", args={"word": str(tmp_path / "word")})
    toys.ledger.wait_for(work, "begin")
    transitions.finish(work.pk, 1, Outcome.LOST, error="taken away by a test")
    (tmp_path / "word").touch()
    assert work.ends().status == Status.SUCCEEDED
    assert toys.ledger.of(work, "confirmed") == [2]


def test_arguments_too_large_to_be_sent_mean_a_process_of_its_own(toys):
    before = place(toys)["pid"]
    alone = toys.push("look-around-shared", args={"large": "x" * 100_000}).ends().result["pid"]
    assert alone != before
    assert place(toys)["pid"] == before


def test_large_results_and_odd_reports_arrive(toys):
    row = toys.push("odd-shared").ends()
    assert len(row.result["large"]) == 1_000_000


def test_a_process_is_replaced_when_it_has_been_used_for_long(monkeypatch):
    wear = traces.Wear()
    assert wear.add() == []
    monkeypatch.setattr(traces, "MOST_ATTEMPTS", 2)
    assert wear.add() == ["attempts"]
    monkeypatch.setattr(traces, "MOST_ATTEMPTS", 100)
    monkeypatch.setattr(traces, "MOST_SECONDS", 0.0)
    monkeypatch.setattr(traces, "MOST_GROWTH", -(2**40))
    monkeypatch.setattr(traces, "MOST_FILES", -100)
    assert wear.add() == ["age", "memory", "open files"]


def test_it_is_gone_when_its_worker_is(toys, tmp_path):
    with crew(tmp_path, workers=1, BACKDROP_ROLE="leaving") as leaving:
        until(lambda: toys.push("nothing-shared").ends() and leaving.called("share"))
        leaving.terminate()
        assert leaving.wait() == 0
        assert leaving.leaves_nothing()
