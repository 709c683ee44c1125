"""SIGKILL, SIGSTOP and a locked database, wherever they hit: no task is lost, none runs twice at a
time, nothing is left behind."""

from __future__ import annotations

import os
import signal
import time
import uuid

import pytest
from django.db import connection, transaction

from tasks import processes, transitions
from tasks.models import Task, Worker
from tasks.states import Outcome, Status
from tasks.tests.crew import Crew, crew, until

RESCUE = 15.0


@pytest.fixture
def workers(toys, tmp_path):
    with crew(tmp_path) as running:
        yield running


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)


def minder_of(attempt) -> int:
    return int(attempt.minder.split(".")[0])


def is_replaced(workers: Crew, leader: int) -> bool:
    pools = workers.called("pool")
    return leader not in pools and len(workers.called("worker")) == 2


VICTIMS = {
    "child": lambda workers, attempt: attempt.pid,
    "worker": lambda workers, attempt: minder_of(attempt),
    "sentinel": lambda workers, attempt: workers.sentinel,
    "leader": lambda workers, attempt: workers.leader,
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_task_survives_the_death_of_any_process_it_runs_under(toys, workers, victim):
    work = toys.push("tick", args={"seconds": 3})
    first = work.runs()
    killed = time.monotonic()
    processes.kill(VICTIMS[victim](workers, first))
    toys.ledger.wait_for(work, "begin", attempt=2)
    assert time.monotonic() - killed < RESCUE
    assert work.ends().status == Status.SUCCEEDED
    crashed = Outcome.CRASHED if victim == "child" else Outcome.LOST
    assert work.outcomes == [crashed, Outcome.SUCCEEDED]
    assert not toys.ledger.overlaps(work)
    assert toys.push("nothing").ends().status == Status.SUCCEEDED


def test_programs_of_a_killed_workers_job_are_killed_wherever_they_went(toys, workers):
    mark = str(uuid.uuid4().int % 10**6 + 10**6)
    work = toys.push("spawn", args={"mark": mark}, max_attempts=1)
    until(lambda: len(workers.called_with(f"sleep {mark}")) >= 3)
    processes.kill(minder_of(work.runs()))
    until(lambda: not workers.called_with(f"sleep {mark}"), 3, "programs end")
    assert work.ends().status == Status.FAILED
    assert "worker process that minded it died" in work.row.error


def end_other_sessions() -> None:
    """As an administrator of PostgreSQL may; SQLite has no sessions to end."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


def is_stopped_by_bells(toys, workers):
    """No process forked later may hold the rope of an earlier bell."""
    work = toys.push("tick")
    work.runs()
    workers.terminate()
    time.sleep(0.2)
    workers.terminate()
    assert workers.wait(6) == 0
    assert work.outcomes == [Outcome.INTERRUPTED]


def test_attempts_of_a_replaced_pool_hear_of_a_stop_and_count_as_running(toys, workers):
    old = toys.push("tick")
    old.runs()
    processes.kill(workers.idle_workers()[0])
    until(lambda: len(workers.called("pool")) == 2, what="a new pool beside the old one")
    second = toys.push("tick")
    second.runs()
    third = toys.push("nothing")
    time.sleep(0.7)
    assert third.row.status == Status.QUEUED, "two attempts at once are allowed"
    workers.terminate()
    time.sleep(0.2)
    workers.terminate()
    assert workers.wait(6) == 0
    workers.leaves_nothing(1)
    assert old.outcomes == second.outcomes == [Outcome.INTERRUPTED]


@pytest.mark.parametrize("role", ["idle worker", "all idle workers", "monitor", "pusher"])
def test_work_goes_on_within_ten_seconds_when_the_pool_itself_is_hurt(toys, workers, role):
    busy = toys.push("tick", args={"seconds": 4})
    attempt = busy.runs()
    until(lambda: len(workers.idle_workers()) == 1)
    others = [
        pid
        for pid in processes.children_of(workers.sentinel)
        if pid not in workers.called("worker")
    ]
    leader = workers.leader
    killed = time.monotonic()
    if "worker" in role:
        for pid in workers.idle_workers():
            processes.kill(pid)
        if role.startswith("all"):
            until(lambda: workers.process.poll() is None and workers.leader != leader, 5)
            for pid in workers.idle_workers():
                processes.kill(pid)
    else:
        processes.kill(others[0 if role == "monitor" else 1])
    assert toys.push("nothing").ends(10).status == Status.SUCCEEDED
    assert time.monotonic() - killed < 10
    # What ran meanwhile was left alone, and what is left of the old pool goes after it.
    assert busy.ends().status == Status.SUCCEEDED
    assert busy.outcomes == [Outcome.SUCCEEDED]
    assert busy.attempts[0].pk == attempt.pk
    until(lambda: is_replaced(workers, leader), 10, "the pool is replaced")


def test_a_pool_that_hangs_is_replaced(toys, workers):
    """Nobody died, and yet tasks wait beside idle workers: only the watchdog can see that."""
    leader = workers.leader
    for pid in processes.children_of(workers.sentinel):
        if pid not in workers.called("worker"):
            freeze(pid)
    assert toys.push("nothing").ends(12).status == Status.SUCCEEDED
    until(lambda: is_replaced(workers, leader), 10, "the pool is replaced")


def test_a_killed_housekeeper_is_replaced(toys, workers):
    (house,) = workers.called("house")
    processes.kill(house)
    until(lambda: workers.called("house") not in ([], [house]), 5)
    Worker.objects.update(heartbeat_at="2020-01-01T00:00Z")
    until(lambda: Worker.objects.get().heartbeat_at.year > 2020, 5, "its heart beats")
    is_stopped_by_bells(toys, workers)


def test_a_killed_watcher_leaves_no_process_and_its_task_goes_on_elsewhere(toys, tmp_path):
    mark = str(uuid.uuid4().int % 10**6 + 10**6)
    with crew(tmp_path) as workers:
        work = toys.push("tick", args={"seconds": 2})
        program = toys.push("spawn-here", args={"mark": mark})
        work.runs()
        until(lambda: workers.called_with(f"sleep {mark}"))
        workers.process.kill()
        workers.wait()
        workers.leaves_nothing(2)
        assert work.row.status != Status.SUCCEEDED
    with crew(tmp_path):
        assert work.ends(RESCUE).status == Status.SUCCEEDED
        # Its minder may have had the time to see that the watcher was gone, or not.
        assert work.outcomes[0] in (Outcome.LOST, Outcome.INTERRUPTED)
        assert work.outcomes[1:] == [Outcome.SUCCEEDED]
        transitions.cancel(program.row, by=None)
        program.ends()
    assert not toys.ledger.overlaps(work)


def test_an_attempt_that_comes_back_from_the_dead_changes_nothing(toys, workers, tmp_path):
    work = toys.push("open", args={"folder": str(tmp_path), "times": 1})
    first = work.runs()
    toys.ledger.wait_for(work, "begin")
    freeze(minder_of(first))
    # Its lease runs out; whoever reaps it kills the child, which is on the same machine.
    assert work.ends(RESCUE).status == Status.SUCCEEDED
    assert not processes.is_alive(first.child)
    until(lambda: not (tmp_path / "left-1").exists(), 5, "what it had opened is undone")
    before = work.row
    thaw(minder_of(first))
    until(lambda: not processes.children_of(minder_of(first)), 5)
    assert toys.push("nothing").ends().status == Status.SUCCEEDED
    after = work.row
    assert (after.seq, after.status, after.attempt) == (before.seq, Status.SUCCEEDED, 2)
    assert work.outcomes == [Outcome.LOST, Outcome.SUCCEEDED]


def test_a_fenced_job_completes_nothing(toys, workers, tmp_path):
    work = toys.push("confirm", args={"word": str(tmp_path / "word")}, max_attempts=1)
    first = work.runs()
    freeze(minder_of(first))
    # Another attempt has the task now; on another machine nobody can kill this one.
    Task.objects.filter(pk=work.pk).update(attempt=2)
    (tmp_path / "word").touch()
    until(lambda: not processes.is_alive(first.child), 5, "the child ends")
    assert toys.ledger.of(work, "begin") == [1]
    assert toys.ledger.of(work, "confirmed") == []
    thaw(minder_of(first))
    until(lambda: minder_of(first) in workers.idle_workers(), 5)
    assert work.row.status == Status.RUNNING
    Task.objects.filter(pk=work.pk).update(status=Status.FAILED)


def test_who_cannot_renew_the_lease_stops_before_it_runs_out(toys, workers):
    work = toys.push("tick", max_attempts=2, args={"seconds": 30})
    first = work.runs()
    with transaction.atomic():
        row = Task.objects.select_for_update().get(pk=work.pk)
        Task.objects.filter(pk=work.pk).update(message="Nobody else can write now.")
        held = time.monotonic()
        until(lambda: not processes.is_alive(first.child), 5, "its minder kills it")
        assert time.monotonic() - held < 3.5
        assert row.lease_expires_at.timestamp() + 0.7 > time.time()
    toys.ledger.wait_for(work, "begin", attempt=2)
    assert work.outcomes == [Outcome.LOST, ""]
    assert not toys.ledger.overlaps(work)
    Task.objects.filter(pk=work.pk).update(status=Status.FAILED)
    until(lambda: len(workers.idle_workers()) == 2, what="its minder notices")


def test_a_short_stop_of_the_database_harms_nothing(toys, workers):
    work = toys.push("tick", args={"seconds": 3})
    work.runs()
    with transaction.atomic():
        Task.objects.select_for_update().get(pk=work.pk)
        Task.objects.filter(pk=work.pk).update(message="Nobody else can write now.")
        time.sleep(1.2)
        end_other_sessions()
    assert work.ends().status == Status.SUCCEEDED
    assert work.outcomes == [Outcome.SUCCEEDED]
