"""Cancelling: whatever a job does, two seconds later nothing of it is there."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest

from tasks import transitions
from tasks.states import Outcome, Status
from tasks.tests.crew import Work, until

LIMIT = 2.0


@pytest.fixture(autouse=True)
def workers(shared_workers, toys):
    return shared_workers


def cancel_and_time(work: Work) -> float:
    begun = time.monotonic()
    assert transitions.cancel(work.row, by=None)
    work.ends(LIMIT)
    return time.monotonic() - begun


def test_it_works(toys):
    work = toys.push("sleep")
    toys.ledger.wait_for(work, "begin")
    child = work.runs().pid
    assert cancel_and_time(work) < LIMIT
    row = work.row
    assert (row.status, row.error) == (Status.CANCELLED, "")
    assert work.outcomes == [Outcome.CANCELLED]
    assert not Path(f"/proc/{child}").exists()
    assert not transitions.cancel(row, by=None)


def test_nineteen_of_twenty_cancels_take_a_second_at_most(toys):
    """Whatever it does: Python, a system call, C code, being deaf to SIGTERM."""
    taken = []
    for kind in ("sleep", "hang", "compute", "stubborn") * 5:
        work = toys.push(kind)
        toys.ledger.wait_for(work, "begin")
        taken.append(cancel_and_time(work))
    assert sorted(taken)[18] <= 1.0


def test_a_job_that_hears_it_has_a_second_to_clean_up_in(toys):
    work = toys.push("tidy", args={"seconds": 0.7})
    toys.ledger.wait_for(work, "begin")
    cancel_and_time(work)
    assert toys.ledger.of(work, "tidied") == [1]


@pytest.mark.parametrize("kind", ["hang", "compute", "stubborn"])
def test_no_kind_of_job_can_resist(toys, kind):
    work = toys.push(kind)
    toys.ledger.wait_for(work, "begin")
    child = work.runs().pid
    assert cancel_and_time(work) < LIMIT
    assert work.outcomes == [Outcome.CANCELLED]
    assert not Path(f"/proc/{child}").exists()


def test_programs_go_with_it_even_deaf_ones_and_those_that_left_the_group(toys, workers):
    mark = str(uuid.uuid4().int % 10**6 + 10**6)
    work = toys.push("spawn", args={"mark": mark})
    toys.ledger.wait_for(work, "begin")
    until(lambda: len(workers.called_with(f"sleep {mark}")) >= 3)
    cancel_and_time(work)
    assert workers.called_with(f"sleep {mark}") == []


def test_what_it_had_opened_is_undone_before_the_task_reads_cancelled(toys, tmp_path):
    work = toys.push("open", args={"folder": str(tmp_path)})
    toys.ledger.wait_for(work, "begin")
    assert (tmp_path / "left-1").exists()
    cancel_and_time(work)
    assert not (tmp_path / "left-1").exists()
    assert (tmp_path / "kept-1").exists()
    assert work.attempts[0].opened == []


def test_a_task_that_waits_for_its_next_try_is_cancelled_at_once(toys):
    work = toys.push("die", args={"how": "later", "after": 30})
    until(lambda: work.outcomes == [Outcome.FAILED])
    assert cancel_and_time(work) < 0.5
    assert work.row.status == Status.CANCELLED


def test_a_job_that_asks_first_completes_nothing_once_it_is_cancelled(toys, tmp_path):
    work = toys.push("confirm", args={"word": str(tmp_path / "word")})
    work.runs()
    transitions.cancel(work.row, by=None)
    (tmp_path / "word").touch()
    assert work.ends(LIMIT).status == Status.CANCELLED
    assert toys.ledger.of(work, "confirmed") == []
