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


@pytest.fixture(scope="module")
def hardy_workers(django_db_setup, django_db_blocker, tmp_path_factory):
    """Two workers that have to live through most of this module."""
    with django_db_blocker.unblock(), crew(tmp_path_factory.mktemp("crew")) as running:
        yield running


@pytest.fixture
def workers(toys, hardy_workers):
    until(hardy_workers.is_ready)
    until(hardy_workers.is_steady)
    yield hardy_workers
    assert hardy_workers.process.poll() is None


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    processes.kill(pid, signal.SIGCONT)


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


def test_programs_die_with_their_job_even_when_nobody_is_there_to_kill_them(toys, workers):
    mark = str(uuid.uuid4().int % 10**6 + 10**6)
    work = toys.push("spawn-here", args={"mark": mark}, max_attempts=1)
    until(lambda: workers.called_with(f"sleep {mark}"))
    freeze(workers.process.pid)
    try:
        processes.kill(minder_of(work.runs()))
        until(lambda: not workers.called_with(f"sleep {mark}"), 2, "programs end")
    finally:
        thaw(workers.process.pid)
    assert work.ends().status == Status.FAILED


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


def test_idle_workers_killed_one_after_another_keep_work_from_nobody(toys, workers):
    """Each may have held the lock of the queue that all of its pool read from."""
    for _ in range(6):
        for pid in workers.idle_workers()[:1]:
            processes.kill(pid)
        time.sleep(0.4)
    killed = time.monotonic()
    assert toys.push("nothing").ends(10).status == Status.SUCCEEDED
    assert time.monotonic() - killed < 10


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


def test_a_frozen_housekeeper_is_replaced_within_ten_seconds(toys, workers):
    (house,) = workers.called("house")
    freeze(house)
    until(lambda: workers.called("house") not in ([], [house]), 10)
    Worker.objects.update(heartbeat_at="2020-01-01T00:00Z")
    until(lambda: Worker.objects.get().heartbeat_at.year > 2020, 5, "its heart beats")
    assert "The housekeeper died or hangs" in workers.log.read_text()


def test_a_worker_that_stays_frozen_makes_room_for_others(toys, workers):
    leader = workers.leader
    rescued = toys.push("tick", args={"seconds": 1})
    frozen = minder_of(rescued.runs())
    freeze(frozen)
    assert rescued.ends().status == Status.SUCCEEDED
    until(lambda: is_replaced(workers, leader), what="the pool is replaced")
    assert not processes.identity(frozen)
    both = [toys.push("sleep", args={"seconds": 2}) for _ in range(2)]
    until(lambda: [work.row.status for work in both] == [Status.RUNNING] * 2)
    assert [work.ends().status for work in both] == [Status.SUCCEEDED] * 2


def test_an_attempt_whose_minder_is_frozen_never_comes_back(toys, workers, tmp_path):
    work = toys.push("open", args={"folder": str(tmp_path), "times": 1})
    first = work.runs()
    toys.ledger.wait_for(work, "begin")
    freeze(minder_of(first))
    # Its lease runs out, and the kernel ends both, frozen as they may be.
    assert work.ends(RESCUE).status == Status.SUCCEEDED
    assert not processes.is_alive(first.child)
    until(lambda: not (tmp_path / "left-1").exists(), 5, "what it had opened is undone")
    before = work.row
    assert not processes.is_alive(first.minder)
    assert toys.push("nothing").ends().status == Status.SUCCEEDED
    after = work.row
    assert (after.seq, after.status, after.attempt) == (before.seq, Status.SUCCEEDED, 2)
    assert work.outcomes == [Outcome.LOST, Outcome.SUCCEEDED]


def test_a_machine_that_is_frozen_as_a_whole_wakes_up_without_its_attempts(toys, workers):
    """Nobody there can do anything at the end of its leases, and no other machine can reach it."""
    work = toys.push("tick", max_attempts=1, args={"seconds": 60})
    first = work.runs()
    toys.ledger.wait_for(work, "tick")
    everyone = list(workers.everyone())
    for pid in everyone:
        freeze(pid)
    try:
        until(lambda: not processes.is_alive(first.child), what="the child ends")
        assert not processes.is_alive(first.minder)
        late = time.time() - work.row.lease_expires_at.timestamp()
        assert 0 < late < 1, "before others may have taken it"
        ticks = len(toys.ledger.lines)
    finally:
        for pid in everyone:
            thaw(pid)
    assert work.ends().status == Status.FAILED
    assert work.outcomes == [Outcome.LOST]
    assert len(toys.ledger.lines) == ticks


def test_the_child_of_a_minder_that_froze_at_once_does_not_overlap_the_next_attempt(toys, workers):
    """Nobody has written down by then which process it is."""
    work = toys.push("tick", max_attempts=2, args={"seconds": 60})
    first = until(lambda: next(iter(work.attempts), None), what="it is claimed")
    toys.ledger.wait_for(work, "begin")
    freeze(minder_of(first))
    first.refresh_from_db()
    assert first.child == "", "its minder was frozen too late for this test"
    children = [
        pid
        for pid in processes.children_of(minder_of(first))
        if processes.title(pid) in ("backdrop-share", processes.title_of(work.pk))
    ]
    toys.ledger.wait_for(work, "begin", attempt=2)
    left = {processes.title(pid) for pid in children if processes.identity(pid)}
    assert processes.title_of(work.pk) not in left
    assert work.outcomes[0] == Outcome.LOST
    thaw(minder_of(first))
    transitions.cancel(work.row, by=None)
    work.ends()


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
