"""Stopping: what runs is finished or goes back to the queue, and no process is left."""

from __future__ import annotations

import signal
import time
import uuid

import pytest

from tasks import processes, transitions
from tasks.models import Worker
from tasks.states import Outcome, Status
from tasks.tests.crew import Crew, Work, crew, daemon, until


def test_it_works(toys, tmp_path):
    with crew(tmp_path) as workers:
        assert Worker.objects.get().capacity == 2
        workers.terminate()
        assert workers.wait(5) == 0
        workers.leaves_nothing(1)
    assert not Worker.objects.exists()


def test_what_fits_in_the_grace_is_finished_and_nothing_new_begun(toys, tmp_path):
    with crew(tmp_path, workers=1) as workers:
        work = toys.push("tick", args={"seconds": 2})
        work.runs()
        workers.terminate()
        waiting = toys.push("nothing")
        assert workers.wait() == 0
        workers.leaves_nothing(1)
    assert work.row.status == Status.SUCCEEDED
    assert work.outcomes == [Outcome.SUCCEEDED]
    assert waiting.row.status == Status.QUEUED


def test_what_does_not_fit_goes_back_uncounted_and_goes_on_with_the_next_worker(toys, tmp_path):
    args = {"folder": str(tmp_path), "times": 1}
    with crew(tmp_path, SHUTDOWN_GRACE_SECONDS="0.5") as workers:
        work = toys.push("open", args=args, max_attempts=1)
        toys.ledger.wait_for(work, "begin")
        deaf = toys.push("stubborn", max_attempts=1)
        toys.ledger.wait_for(deaf, "begin")
        workers.terminate()
        assert workers.wait(6) == 0
        workers.leaves_nothing(1)
    assert work.outcomes == deaf.outcomes == [Outcome.INTERRUPTED]
    assert (work.row.status, work.row.tries, work.row.attempt) == (Status.QUEUED, 0, 1)
    assert not (tmp_path / "left-1").exists()
    with crew(tmp_path):
        assert work.ends().status == Status.SUCCEEDED
    assert work.outcomes == [Outcome.INTERRUPTED, Outcome.SUCCEEDED]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_hurries(toys, tmp_path, number):
    with crew(tmp_path) as workers:
        work = toys.push("tick")
        work.runs()
        workers.process.send_signal(number)
        time.sleep(0.3)
        assert work.row.status == Status.RUNNING
        workers.process.send_signal(number)
        assert workers.wait(5) == 0
        workers.leaves_nothing(1)
    assert work.outcomes == [Outcome.INTERRUPTED]
    assert work.row.status == Status.QUEUED


def test_a_signal_to_all_processes_at_once_is_no_worse(toys, tmp_path):
    """As a service manager does that signals a whole control group."""
    with crew(tmp_path, SHUTDOWN_GRACE_SECONDS="0.5") as workers:
        work = toys.push("tick")
        work.runs()
        workers.terminate()
        for pid in workers.everyone():
            processes.kill(pid, signal.SIGTERM)
        assert workers.wait(5) == 0
        workers.leaves_nothing(1)
    assert work.outcomes == [Outcome.INTERRUPTED]


def test_attempts_of_a_replaced_pool_count_and_hear_of_the_stop(toys, tmp_path):
    with crew(tmp_path) as workers:
        (house,) = workers.called("house")
        processes.kill(house)  # another one, and another pool, are forked beside the old pool
        old = toys.push("tick")
        old.runs()
        processes.kill(workers.idle_workers()[0])
        until(lambda: len(workers.called("pool")) == 2, what="a new pool beside the old one")
        second = toys.push("tick")
        second.runs()
        third = toys.push("nothing")
        time.sleep(0.7)
        assert third.row.status == Status.QUEUED, "two attempts at once are allowed"
        hurry(workers)
    assert old.outcomes == second.outcomes == [Outcome.INTERRUPTED]


def hurry(workers: Crew) -> None:
    workers.terminate()
    time.sleep(0.2)
    workers.terminate()
    assert workers.wait(6) == 0
    workers.leaves_nothing(1)


def test_stopping_is_bounded_even_if_the_pool_hangs(toys, tmp_path):
    with crew(tmp_path) as workers:
        processes.kill(workers.sentinel, signal.SIGSTOP)
        workers.terminate()
        assert workers.wait(8) == 0
        workers.leaves_nothing(1)


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
        assert work.ends(15).status == Status.SUCCEEDED
        # Its minder may have had the time to see that the watcher was gone, or not.
        assert work.outcomes[0] in (Outcome.LOST, Outcome.INTERRUPTED)
        assert work.outcomes[1:] == [Outcome.SUCCEEDED]
        transitions.cancel(program.row, by=None)
        program.ends()
    assert not toys.ledger.overlaps(work)


def test_a_rolling_restart_under_load_loses_nothing_and_counts_no_try(toys, tmp_path):
    def push_some() -> list[Work]:
        return [toys.push("tick", args={"seconds": 0.6}, max_attempts=1) for _ in range(8)]

    def restart_under_load(old: Crew) -> None:
        works.extend(push_some())
        toys.ledger.wait_for(works[-8], "begin")
        old.terminate()
        assert old.wait(10) == 0
        old.leaves_nothing(1)
        works.extend(push_some())

    works: list[Work] = []
    hasty = {"SHUTDOWN_GRACE_SECONDS": "0.1"}  # so that some goes back to the queue
    with crew(tmp_path, **hasty) as first, crew(tmp_path, **hasty) as second:
        restart_under_load(first)
        with crew(tmp_path, **hasty):
            restart_under_load(second)
            with crew(tmp_path, **hasty):
                for work in works:
                    assert work.ends().status == Status.SUCCEEDED
    for work in works:
        *before, last = work.outcomes
        assert last == Outcome.SUCCEEDED
        assert set(before) <= {Outcome.INTERRUPTED}
        assert work.row.tries == 1
        assert not toys.ledger.overlaps(work)


def test_workers_serve_the_queues_they_are_given_and_no_others(toys, tmp_path):
    with crew(tmp_path, "--queue", "near", "--queue", "far"):
        other = toys.push("nothing", queue="default")
        for name in ("near", "far"):
            assert toys.push("nothing", queue=name).ends().status == Status.SUCCEEDED
        assert other.row.status == Status.QUEUED
        assert Worker.objects.get().queues == ["near", "far"]


def test_a_daemon_rescues_what_no_worker_is_there_to_rescue(toys, tmp_path):
    with crew(tmp_path) as workers:
        work = toys.push("tick", max_attempts=1)
        work.runs()
        workers.process.kill()
        workers.wait()
    with daemon(tmp_path) as keeper:
        assert Worker.objects.get(pid=keeper.process.pid).kind == Worker.Kind.DAEMON
        assert work.ends(15).status == Status.FAILED
        keeper.terminate()
        assert keeper.wait(5) == 0
        keeper.leaves_nothing(1)
    assert not Worker.objects.filter(kind=Worker.Kind.DAEMON).exists()


def test_a_daemon_calls_the_periodic_functions_of_the_apps(toys, tmp_path):
    marker = tmp_path / "periodic"
    with daemon(tmp_path, TOY_PERIODIC=str(marker)):
        until(lambda: marker.exists() and len(marker.read_text()) >= 3, 10)
