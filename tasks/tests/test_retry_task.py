"""How often a task is tried and how long it rests in between; quarantine; time that runs out."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.utils import timezone

from tasks import queue, reaper, transitions
from tasks.models import Attempt, Task
from tasks.registry import Job, register
from tasks.retries import LONGEST_PAUSE, Backoff
from tasks.states import Outcome, Status
from tasks.tests.crew import Toys, Work

pytestmark = pytest.mark.django_db(transaction=True)

STEADY = Backoff(first=10, factor=3, most=50, jitter=0)
SHORT_LIVED = register(
    Job(name="short-lived", run=lambda context: None, title="Short-lived", total_seconds=60)
)


def end(work: Work, outcome: Outcome = Outcome.FAILED, **options) -> float:
    """Have one attempt of it end so; the seconds until the next one may begin."""
    Task.objects.filter(pk=work.pk).update(run_at=timezone.now())
    task = queue.claim(["default"], "me")
    assert task.pk == work.pk
    before = timezone.now()
    transitions.finish(task.pk, task.attempt, outcome, **options)
    return (work.row.run_at - before).total_seconds()


def test_it_works(toys: Toys):
    work = toys.push("nothing", max_attempts=4, backoff=STEADY)
    waits = [end(work, error="Oh.") for _ in range(3)]
    assert [round(wait) for wait in waits] == [10, 30, 50]
    end(work, error="Oh.")
    assert (work.row.status, work.row.tries, work.row.error) == (Status.FAILED, 4, "Oh.")


def test_a_task_without_a_policy_goes_by_its_jobs(toys):
    work = toys.push("nothing", max_attempts=9)
    # Toys rest 0.1 and then 0.2 seconds, a fifth of it by lot.
    for whole in (0.1, 0.2, 0.2):
        assert whole * 0.8 <= end(work)
        assert work.row.run_at <= work.attempts[-1].finished_at + timedelta(seconds=whole)


def test_full_jitter_spreads_over_the_whole_pause():
    random.seed(4)
    pauses = [Backoff(first=8, factor=2, most=100).pause(2) for _ in range(500)]
    assert 0 <= min(pauses) < 1
    assert 15 < max(pauses) <= 16
    assert 7 < sum(pauses) / len(pauses) < 9


def test_a_pause_is_bounded_however_many_tries_there_were():
    assert Backoff(first=3, factor=100, jitter=0).pause(10_000) == 300
    assert Backoff(first=0).pause(50) == 0


@pytest.mark.parametrize(
    "figures",
    [
        {"first": -1},
        {"first": "1"},
        {"first": True},
        {"factor": 0.5},
        {"factor": float("nan")},
        {"most": LONGEST_PAUSE + 1},
        {"jitter": 2},
        {"jitters": 0.5},
    ],
)
def test_figures_that_make_no_sense_are_refused(figures):
    with pytest.raises(ValueError, match="backoff: "):
        Backoff.of(figures)


def test_a_policy_that_this_release_cannot_read_is_the_usual_one(toys):
    work = toys.push("nothing")
    Task.objects.update(backoff={"curve": "steep"})
    assert 0 <= end(work) < 2
    assert work.row.status == Status.QUEUED


def test_the_error_says_when_to_come_back(toys):
    work = toys.push("nothing", max_attempts=9, backoff=STEADY)
    assert 99 < end(work, retry_after=100) < 101
    assert end(work, retry_after=1e12) < LONGEST_PAUSE + 1
    assert end(work, retry_after=-5) < 1
    assert 29 < end(work, retry_after=float("nan")) < 60, "no number: the policy"


# Quarantine -----------------------------------------------------------------------------------


def test_three_attempts_that_killed_their_process_lead_to_quarantine(toys):
    work = toys.push("nothing", max_attempts=50)
    for _ in range(2):
        end(work, Outcome.CRASHED, error="Killed.")
        assert work.row.status == Status.QUEUED
    end(work, Outcome.LOST, error="Gone.")
    row = work.row
    assert (row.status, row.tries, row.crashes) == (Status.FAILED, 3, 3)
    assert row.quarantined_at is not None
    assert row.error == (
        "3 attempts in a row died with their process, so it is in quarantine and isn't tried "
        "again. The last one: Gone. Find out what kills it; trying it again releases it."
    )
    assert work.history[-1] == (
        "Attempt 3: Lost (its lease ran out): Gone. "
        "3 attempts in a row died with their process: quarantined."
    )


def test_a_task_that_kills_its_workers_is_quarantined_by_the_reaper(toys):
    work = toys.push("nothing", max_attempts=50)
    for _ in range(3):
        Task.objects.update(run_at=timezone.now())
        assert queue.claim(["default"], "me")
        Attempt.objects.update(minder="999999999.1")
        reaper.reap()
    assert work.row.quarantined_at is not None
    assert work.outcomes == [Outcome.LOST] * 3


@pytest.mark.parametrize("between", [Outcome.FAILED, Outcome.TIMED_OUT])
def test_an_end_of_another_kind_begins_the_count_anew(toys, between):
    work = toys.push("nothing", max_attempts=50)
    for outcome in (Outcome.CRASHED, Outcome.CRASHED, between, Outcome.CRASHED, Outcome.CRASHED):
        end(work, outcome)
    assert (work.row.status, work.row.crashes) == (Status.QUEUED, 2)
    end(work, Outcome.SUCCEEDED)
    assert work.row.crashes == 0


def test_a_shutdown_counts_neither_way(toys):
    work = toys.push("nothing", max_attempts=50)
    for outcome in (Outcome.CRASHED, Outcome.INTERRUPTED, Outcome.CRASHED, Outcome.INTERRUPTED):
        end(work, outcome)
    assert (work.row.status, work.row.crashes) == (Status.QUEUED, 2)


def test_what_is_no_doing_of_the_task_does_not_count(toys):
    work = toys.push("nothing", max_attempts=50)
    for _ in range(4):
        end(work, Outcome.LOST, blameless=True)
    assert (work.row.status, work.row.crashes) == (Status.QUEUED, 0)


def test_trying_it_again_releases_it(toys, owner):
    work = toys.push("nothing")
    for _ in range(3):
        end(work, Outcome.CRASHED)
    assert transitions.retry(work.row, by=owner)
    row = work.row
    assert (row.status, row.tries, row.crashes, row.quarantined_at) == (Status.QUEUED, 0, 0, None)
    assert work.history[-1] == "Released from quarantine and put back into the queue by owner"
    end(work, Outcome.CRASHED)
    assert work.row.status == Status.QUEUED


# Time -----------------------------------------------------------------------------------------


def soon(seconds: float = 60):
    return timezone.now() + timedelta(seconds=seconds)


def test_a_task_that_waits_past_its_end_fails(toys, tmp_path):
    work = toys.push("nothing", expires_at=soon(), args={"told": str(tmp_path / "told")})
    assert reaper.expire_overdue() == 0
    Task.objects.update(expires_at=soon(-1))
    assert queue.claim(["default"], "me") is None, "nobody begins it any more"
    assert reaper.reap() == 1
    row = work.row
    told = "Its time ran out before it was done. Ask for it again, or give it more time."
    assert (row.status, row.error, work.history[-1]) == (Status.FAILED, told, told)
    assert row.finished_at is not None
    assert "failed 0" in (tmp_path / "told").read_text()
    assert reaper.expire_overdue() == 0


def test_the_error_of_the_last_try_is_kept(toys):
    work = toys.push("nothing", total_seconds=60)
    end(work, error="The disk is full.")
    Task.objects.update(expires_at=soon(-1))
    reaper.expire_overdue()
    assert work.row.error.endswith("The last try: The disk is full.")


def test_its_time_counts_from_when_it_may_first_start(toys):
    begin = soon(3600)
    assert toys.push("nothing", run_at=begin, total_seconds=5).row.expires_at == begin + timedelta(
        seconds=5
    )
    assert toys.push("nothing").row.expires_at is None


def test_a_job_limits_the_time_of_its_tasks(team):
    task = queue.push(job=SHORT_LIVED.name, team=team)
    assert task.expires_at == task.run_at + timedelta(seconds=60)
    longer = queue.push(job=SHORT_LIVED.name, team=team, total_seconds=90)
    assert longer.expires_at == longer.run_at + timedelta(seconds=90)


def test_no_try_is_planned_past_its_end(toys):
    work = toys.push("nothing", expires_at=soon(60))
    end(work, error="Busy.", retry_after=300)
    row = work.row
    assert (row.status, row.error) == (
        Status.FAILED,
        "Busy. Its time runs out before it could be tried again.",
    )


def test_put_back_by_a_person_it_has_as_much_time_again(toys, owner):
    work = toys.push("nothing", total_seconds=60)
    Task.objects.update(expires_at=soon(-1), created_at=soon(-61))
    reaper.expire_overdue()
    assert transitions.retry(work.row, by=owner)
    left = work.row.expires_at - timezone.now()
    assert timedelta(seconds=55) < left < timedelta(seconds=61)


@pytest.mark.parametrize(
    "options",
    [
        {"total_seconds": 0},
        {"total_seconds": 5, "expires_at": timezone.now()},
        {"backoff": (1, 2)},
        {"concurrency_key": "x" * 201},
        {"concurrency_limit": 0},
        {"when_busy": "panic"},
    ],
)
def test_limits_that_make_no_sense_are_refused(team, options):
    with pytest.raises(ValueError, match=r"."):
        queue.push(job="toy-nothing", team=team, **options)
    assert not Task.objects.exists()


def test_a_running_task_is_stopped_at_its_end(toys, shared_workers):
    work = toys.push("sleep", total_seconds=6, max_attempts=5)
    other = toys.push("sleep", args={"seconds": 0.2}, total_seconds=60)
    assert work.ends().status == Status.FAILED
    assert work.outcomes == [Outcome.TIMED_OUT]
    assert work.row.error.startswith("Its time ran out before it was done, and it was stopped.")
    assert other.ends().status == Status.SUCCEEDED


def test_a_job_that_kills_its_process_is_quarantined(toys, shared_workers):
    work = toys.push("die", args={"how": "kill"}, max_attempts=20)
    assert work.ends().quarantined_at is not None
    assert work.outcomes == [Outcome.CRASHED] * 3
