"""A job's life in real workers, from the claim to its end, good or bad."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from tasks.models import Attempt
from tasks.reports import MESSAGE_LENGTH
from tasks.states import Outcome, Status
from tasks.tests.crew import until


@pytest.fixture(autouse=True)
def workers(shared_workers, toys):
    """Alive, and the same ones, after each test."""
    before = shared_workers.called("worker")
    yield shared_workers
    assert shared_workers.called("worker") == before


def test_it_works(toys):
    work = toys.push("nothing")
    row = work.ends()
    assert (row.status, row.attempt, row.tries, row.error) == (Status.SUCCEEDED, 1, 1, "")
    assert row.result["attempt"] == 1
    assert row.started_at <= row.finished_at
    assert work.outcomes == [Outcome.SUCCEEDED]
    assert list(row.events.values_list("seq", flat=True)) == [1, 2, 3]
    assert toys.ledger.of(work, "did") == [1]


def test_priorities_are_kept(toys):
    with transaction.atomic():  # all are there at once
        works = [toys.push("nothing", priority=number % 5) for number in range(20)]
    for work in works:
        work.ends()
    started = sorted(works, key=lambda work: work.attempts[0].pk)
    priorities = [work.row.priority for work in started]
    for place, priority in enumerate(priorities):
        # Three claim at the same time: the order of their writing may differ by that much.
        assert sum(earlier < priority for earlier in priorities[:place]) <= 2


@pytest.mark.alone
def test_it_waits_for_its_time(toys):
    moment = timezone.now() + timedelta(seconds=1)
    row = toys.push("nothing", run_at=moment).ends()
    assert moment <= row.started_at < moment + timedelta(seconds=2)


@pytest.mark.alone
def test_progress_is_seen_at_most_four_times_a_second_and_at_last_exactly(toys):
    work = toys.push("sleep", args={"seconds": 2})
    work.runs()
    seen = []
    while not (row := work.row).ended:
        if not seen or row.seq != seen[-1].seq:
            seen.append(row)
        time.sleep(0.02)
    figures = [row.progress_done for row in seen]
    assert figures == sorted(figures)
    assert 4 <= len(seen) <= 10
    assert any(800 < (row.progress_rate or 0) < 1200 for row in seen)
    assert any(row.eta_seconds for row in seen)
    assert max(row.percent or 0 for row in seen) < 100
    assert (row.progress_done, row.progress_total, row.percent) == (2000, 2000, 100.0)
    assert row.progress_unit == "ms"
    assert row.seq - seen[0].seq <= 10


def test_odd_and_huge_reports_are_cut_and_cleaned(toys):
    row = toys.push("odd").ends()
    assert row.status == Status.SUCCEEDED
    assert row.message.startswith("nul \ufffd and half a pair ? x")
    assert len(row.message) == MESSAGE_LENGTH
    assert (row.progress_done, row.progress_total) == (2**63 - 1, None)
    assert row.result["text"] == "nul \ufffd"
    assert len(row.result["large"]) == 1_000_000
    line = row.events.get(kind="log")
    assert line.message.startswith("nul \ufffd y")
    assert len(line.message) == 4000


def test_lines_come_in_order_and_too_many_are_cut_off(toys):
    row = toys.push("chatter", args={"lines": 3000}).ends()
    lines = list(row.events.filter(kind="log").values_list("seq", "message"))
    assert len(lines) == 2000
    assert [message for _, message in lines[:2]] == ["line 0", "line 1"]
    assert lines[-1][1] == "Too many lines: the rest is left out."
    assert [seq for seq, _ in lines] == list(range(lines[0][0], lines[0][0] + 2000))
    assert row.status == Status.SUCCEEDED


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("exit", "ended with code 3 and no result"),
        ("sysexit", "ended its process itself (SystemExit)"),
        ("kill", "was killed (SIGKILL). Perhaps the machine ran out of memory"),
        ("segfault", "was killed (SIGSEGV)"),
        ("memory", "ran out of memory"),
        ("secret", "unexpected RuntimeError in toys.py, line"),
        ("unserialisable", "unexpected TypeError"),
        ("list", "unexpected TypeError"),
        ("nan", "unexpected ValueError"),
        ("large", "unexpected ValueError"),
        ("garbage", "something unreadable"),
        ("fail", "It went wrong. Try something else."),
        ("permanent", "No such thing. Make one."),
    ],
)
@pytest.mark.alone
def test_each_bad_end_is_noticed_at_once_and_told(toys, how, told, workers):
    work = toys.push("die", args={"how": how}, max_attempts=1)
    toys.ledger.wait_for(work, "begin")
    row = work.ends(seconds=3)
    assert row.status == Status.FAILED
    assert told in row.error
    crashed = how in ("exit", "kill", "segfault", "garbage")
    assert work.outcomes == [Outcome.CRASHED if crashed else Outcome.FAILED]
    assert "hunter2" not in " ".join([row.error, *work.history, workers.log.read_text()])


def test_a_failing_job_is_tried_again_after_its_delays_and_then_succeeds(toys):
    work = toys.push("die", args={"how": "fail", "times": 2})
    row = work.ends()
    assert (row.status, row.tries, row.error) == (Status.SUCCEEDED, 3, "")
    assert work.outcomes == [Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED]
    first, second, third = work.attempts
    assert second.started_at - first.finished_at >= timedelta(seconds=0.1)
    assert third.started_at - second.finished_at >= timedelta(seconds=0.2)


def test_a_crashing_job_fails_when_its_tries_have_run_out(toys):
    work = toys.push("die", args={"how": "kill"}, max_attempts=2)
    assert work.ends().status == Status.FAILED
    assert work.outcomes == [Outcome.CRASHED, Outcome.CRASHED]


def test_the_delay_of_the_error_is_kept(toys):
    work = toys.push("die", args={"how": "later", "after": 1.5, "times": 1})
    assert work.ends().status == Status.SUCCEEDED
    first, second = work.attempts
    assert second.started_at - first.finished_at >= timedelta(seconds=1.5)


def test_a_permanent_error_is_not_tried_again(toys):
    work = toys.push("die", args={"how": "permanent"})
    assert work.ends().status == Status.FAILED
    assert work.outcomes == [Outcome.FAILED]


@pytest.mark.alone
def test_an_attempt_that_takes_too_long_is_stopped(toys):
    work = toys.push("sleep", deadline_seconds=1, max_attempts=1)
    row = work.ends()
    assert work.outcomes == [Outcome.TIMED_OUT]
    assert "longer than its limit of 1 s" in row.error
    assert timedelta(seconds=1) <= row.finished_at - row.started_at < timedelta(seconds=3)


@pytest.mark.alone
def test_an_attempt_without_progress_is_stopped_and_one_with_progress_is_not(toys):
    still = toys.push("hang", stall_seconds=1, max_attempts=1)
    moving = toys.push("sleep", args={"seconds": 2.5}, stall_seconds=1)
    assert "no progress for 1 s" in still.ends().error
    assert still.outcomes == [Outcome.TIMED_OUT]
    assert moving.ends().status == Status.SUCCEEDED


@pytest.mark.alone
def test_no_program_outlives_the_job_that_started_it(toys, workers):
    mark = str(uuid.uuid4().int % 10**6 + 10**6)
    work = toys.push("spawn", args={"mark": mark, "leave": True})
    assert work.ends().status == Status.SUCCEEDED
    until(lambda: not workers.called_with(f"sleep {mark}"), 2, "programs end")


def test_a_process_that_does_not_end_after_its_job_is_ended(toys):
    """What it has told counts all the same."""
    work = toys.push("dawdle", args={"seconds": 600})
    row = work.ends()
    assert (row.status, row.result) == (Status.SUCCEEDED, {"done": True})
    assert work.outcomes == [Outcome.SUCCEEDED]


def test_a_job_nobody_knows_waits_uncounted_for_workers_that_do(toys):
    """As a release is rolled out, old workers meet new jobs."""
    work = toys.push("nothing", run_at=timezone.now() + timedelta(days=1), max_attempts=1)
    type(work.row).objects.update(job="from-a-later-release", run_at=timezone.now())
    until(lambda: work.outcomes == [Outcome.INTERRUPTED])
    row = work.row
    assert (row.status, row.tries) == (Status.QUEUED, 0)
    assert row.run_at > timezone.now() + timedelta(seconds=10)
    told = [event.message for event in row.events.all()]
    assert any("No job is called 'from-a-later-release'" in each for each in told)
    type(work.row).objects.update(job="toy-nothing", run_at=timezone.now())
    assert work.ends().status == Status.SUCCEEDED


def test_a_job_nobody_knows_for_an_hour_fails_with_the_names_that_are_known(toys):
    work = toys.push("nothing", run_at=timezone.now() + timedelta(days=1), max_attempts=1)
    type(work.row).objects.update(
        job="from-a-later-release",
        run_at=timezone.now(),
        created_at=timezone.now() - timedelta(hours=2),
    )
    row = work.ends()
    assert row.status == Status.FAILED
    assert "No job is called 'from-a-later-release'" in row.error


def test_what_was_opened_is_written_before_it_is_used_and_undone_after_a_crash(toys, tmp_path):
    work = toys.push(
        "open", args={"folder": str(tmp_path), "crash": True, "times": 1}, max_attempts=2
    )
    assert work.ends().status == Status.SUCCEEDED
    assert work.outcomes == [Outcome.CRASHED, Outcome.SUCCEEDED]
    assert not (tmp_path / "left-1").exists()
    assert (tmp_path / "kept-1").exists()
    assert (tmp_path / "left-2").exists()
    assert [attempt.opened for attempt in work.attempts] == [[], []]


def test_what_could_not_be_undone_is_tried_again_later(toys, tmp_path):
    (tmp_path / "undo-fails").touch()
    work = toys.push("open", args={"folder": str(tmp_path), "crash": True}, max_attempts=1)
    assert work.ends().status == Status.FAILED
    assert (tmp_path / "left-1").exists()
    (attempt,) = work.attempts
    assert [thing["kind"] for thing in attempt.opened] == ["file"]
    assert attempt.undo_due_at is not None
    (tmp_path / "undo-fails").unlink()
    Attempt.objects.update(undo_due_at=timezone.now())
    until(lambda: not (tmp_path / "left-1").exists(), 5, "the housekeeper undoes it")
    until(lambda: work.attempts[0].undo_due_at is None, 2)
