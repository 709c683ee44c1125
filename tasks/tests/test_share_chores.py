"""Several daemons and housekeepers share what is to be done: each moment once, by whoever lives."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tasks import clock, periodic, reaper, upkeep
from tasks.daemon import Daemon, do_rounds
from tasks.models import Attempt, Chore, Task, Worker
from tasks.periodic import Periodic, Rounds, next_moment
from tasks.presence import Presence
from tasks.states import Status
from tasks.tests.crew import daemon, until
from tasks.tests.work import running_task
from tasks.upkeep import Upkeep

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "tests.chore"


class Marks:
    """A chore that counts how often it was done, by whom and for which moment."""

    def __init__(self, every: float = 10.0) -> None:
        self.every = every
        self.done: list[str] = []
        self.act = lambda: None

    def rounds(self, who: str) -> Rounds:
        def run() -> None:
            self.done.append(who)
            self.act()

        return Rounds(who, [Periodic(name=NAME, every=self.every, run=run)])


@pytest.fixture
def marks() -> Marks:
    return Marks()


def row() -> Chore:
    return Chore.objects.get(name=NAME)


def shift(away: float, **changes) -> None:
    """Let the next moment be so many seconds from now."""
    Chore.objects.filter(name=NAME).update(due_at=clock.now(away), **changes)


def alive(name: str, seconds: float = 0.0) -> None:
    Worker.objects.create(
        name=name, kind="daemon", host="x", pid=1, heartbeat_at=clock.read() - timedelta(0, seconds)
    )


@pytest.mark.alone
def test_it_works(marks):
    one, other = marks.rounds("one"), marks.rounds("other")
    assert 9 < one.go() <= 10
    other.go()
    assert marks.done == ["one"]
    told = row()
    assert (told.by, told.error) == ("one", "")
    assert told.seconds is not None
    assert 9 < (told.due_at - clock.read()).total_seconds() < 10.1
    shift(0.3)
    assert 0.1 < other.go() < 0.3
    time.sleep(0.3)
    other.go()
    one.go()
    assert marks.done == ["one", "other"]


def test_a_moment_is_ones_however_many_race_for_it(marks):
    crew = [marks.rounds(str(number)) for number in range(6)]
    ready = threading.Barrier(6)

    def race(rounds: Rounds) -> None:
        for _ in range(3):
            ready.wait()
            rounds.go()
            if not ready.wait():
                shift(-1)
        connection.close()

    runners = [threading.Thread(target=race, args=[rounds]) for rounds in crew]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert len(marks.done) == 3


def test_moments_that_passed_are_made_up_for_by_one_call(marks):
    rounds = marks.rounds("one")
    rounds.go()
    before = row().due_at
    shift(-95)
    late = row().due_at
    rounds.go()
    rounds.go()
    assert len(marks.done) == 2
    assert row().due_at - late == timedelta(seconds=100), "they stay as far apart as ever"
    assert row().due_at != before


def test_who_fails_is_written_down_and_the_next_moment_is_another_try(marks):
    def fail() -> None:
        raise OSError("not now")

    marks.act = fail
    rounds = marks.rounds("one")
    rounds.go()
    assert (row().error, row().seconds is not None) == ("OSError", True)
    shift(-1)
    marks.act = lambda: None
    rounds.go()
    assert (row().error, len(marks.done)) == ("", 2)


def test_while_one_is_at_it_the_others_wait_unless_it_has_died(marks):
    marks.rounds("one").go()
    alive("one")
    shift(-1, seconds=None)
    other = marks.rounds("other")
    assert 0.4 < other.go() <= 0.5
    assert marks.done == ["one"]
    Worker.objects.update(heartbeat_at=clock.now(-7))
    other.go()
    assert (marks.done, row().by) == (["one", "other"], "other")


def test_who_hangs_for_an_hour_keeps_nobody_waiting_any_longer(marks):
    marks.rounds("one").go()
    alive("one")
    shift(-1, seconds=None, began_at=clock.now(-3601))
    marks.rounds("other").go()
    assert marks.done == ["one", "other"]


@pytest.mark.parametrize("ahead", [3600, 11])
def test_a_clock_set_back_and_a_shorter_period_do_not_make_it_wait(marks, ahead):
    rounds = marks.rounds("one")
    rounds.go()
    shift(ahead)
    rounds.go()
    assert (row().due_at - clock.read()).total_seconds() <= 10
    assert len(marks.done) == 1, "its moment had been done"


def test_what_each_machine_has_to_do_has_a_row_for_each(monkeypatch):
    monkeypatch.setattr(periodic, "_all", {})

    def sweep() -> None: ...

    for machine in ("here", "there"):
        monkeypatch.setattr(socket, "gethostname", lambda machine=machine: machine)
        periodic.periodic(every=60, on_each_machine=True)(sweep)
    assert [name.split(" on ")[1] for name in periodic.names()] == ["here", "there"]


def test_it_looks_again_before_a_moment_far_away_should_clocks_jump():
    marks = Marks(every=3600)
    assert marks.rounds("one").go() == periodic.LONGEST_SLEEP


def test_moments_lie_on_a_grid():
    first = timezone.now()
    for seconds, expected in ((0, 1), (0.4, 1), (0.5, 2), (7.2, 15)):
        moment = next_moment(first, 0.5, first + timedelta(seconds=seconds))
        assert moment == first + timedelta(seconds=0.5 * expected)


def test_rows_of_functions_that_no_release_has_any_more_are_swept():
    known = periodic.names()[0]
    for name, days in (("gone", 8), ("newer", 0), (known, 8)):
        Chore.objects.create(name=name, due_at=clock.read() - timedelta(days=days))
    periodic.forget_old_chores()
    assert set(Chore.objects.values_list("name", flat=True)) == {"newer", known}


@pytest.mark.alone
def test_three_daemons_do_each_moment_once_and_two_go_on_where_one_is_killed(toys, tmp_path):
    ledger = tmp_path / "moments"
    with ExitStack() as stack:
        daemons = [stack.enter_context(daemon(tmp_path, TOY_MOMENTS=str(ledger))) for _ in "123"]
        names = {each.name for each in daemons}
        until(lambda: len(lines(ledger)) >= 6, 20)
        victim = next(each for each in daemons if each.name == lines(ledger)[-1][1])
        victim.process.kill()
        killed = len(lines(ledger))
        until(lambda: len(lines(ledger)) >= killed + 6, 20)
    told = lines(ledger)
    moments = Counter(moment for moment, _ in told)
    assert max(moments.values()) == 1, "each once"
    assert {by for _, by in told} <= names
    assert victim.name not in {by for _, by in told[killed + 1 :]}
    stamps = sorted(float(moment) for moment in moments)
    gaps = [late - early for early, late in pairwise(stamps)]
    # None is left out, but for what the killed one may have had in hand, or a busy machine's.
    assert all(round(gap / 0.5, 3) == round(gap / 0.5) for gap in gaps)
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(0.5, abs=0.01)


def lines(ledger) -> list[list[str]]:
    return [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []


# Who reaps --------------------------------------------------------------------------------------


def keeper(number: int, kind: Worker.Kind = Worker.Kind.WORKER) -> Upkeep:
    presence = Presence(f"host:{number}:1", kind, ["default"] if kind == "worker" else [], 1)
    presence.tell()
    return Upkeep(presence)


@pytest.fixture
def late_task(team) -> Task:
    """One of another machine whose lease has just run out."""
    run = running_task(team)
    Attempt.objects.update(host="elsewhere")
    Task.objects.update(lease_expires_at=clock.now(-2))
    return run.task


def looks(keepers: list[Upkeep]) -> list[bool]:
    """Who of them would reap now."""
    for each in keepers:
        each.look()
    return [bool(each.look().late) for each in keepers]


def test_one_is_elected_and_the_next_when_that_one_dies(late_task):
    keepers = [keeper(number) for number in (1, 2, 3)]
    assert looks(keepers) == [True, False, False]
    Worker.objects.filter(name="host:1:1").update(heartbeat_at=clock.now(-7))
    assert looks(keepers[1:]) == [True, False]
    Worker.objects.filter(name="host:2:1").delete()
    assert looks(keepers[2:]) == [True]


def test_a_daemon_stands_back_where_workers_live(late_task):
    keepers = [keeper(1, Worker.Kind.DAEMON), keeper(2, Worker.Kind.DAEMON), keeper(3)]
    assert looks(keepers) == [False, False, True]
    Worker.objects.filter(kind="worker").delete()
    assert looks(keepers[:2]) == [True, False]


def test_all_act_where_the_elected_does_nothing(late_task):
    keepers = [keeper(number) for number in (1, 2)]
    Task.objects.update(lease_expires_at=clock.now(-2 - upkeep.OTHERS_SECONDS))
    assert looks(keepers) == [True, True]


def test_what_has_died_here_is_everyones_who_lives_here(team):
    keepers = [keeper(number) for number in (1, 2)]
    running_task(team)
    assert [each.look().here for each in keepers] == [True, True]
    Attempt.objects.update(minder="999999999.1")
    assert reaper.reap_here() == 1


def test_an_expired_lease_of_this_machine_needs_nobody_elected(late_task):
    assert reaper.reap_here() == 0
    Attempt.objects.update(host=reaper.processes.place())
    assert reaper.reap_here() == 1
    assert Task.objects.get().status == Status.QUEUED


def test_a_look_is_one_query_whatever_there_is_to_see(late_task):
    one = keeper(1)
    with CaptureQueriesContext(connection) as asked:
        one.look()
    assert len(asked) == 1, "its heart has just beaten"


def test_a_row_that_somebody_removed_is_made_again(db):
    one = keeper(1)
    Worker.objects.all().delete()
    assert one.look() == upkeep.NOTHING
    assert Worker.objects.get().name == "host:1:1"


def test_what_was_left_open_is_undone_first_by_those_who_serve_its_queue(team):
    running_task(team, queue="far").end()
    Attempt.objects.update(undo_due_at=clock.now(-1))
    near, far = reaper.Leftovers(["near"]), reaper.Leftovers(["far"])
    assert (near.waiting().exists(), far.waiting().exists()) == (False, True)
    Attempt.objects.update(undo_due_at=clock.now(-reaper.OTHERS_SECONDS - 1))
    assert near.waiting().exists()


def test_prompt_chores_wait_for_no_slow_one(db, monkeypatch):
    """Canaries tell that work flows: nobody shall take a slow sweep for a queue that stalls."""
    assert "tasks.jobs.own.tend_canaries" in {each.name for each in periodic.those(prompt=True)}
    started, sung, gate = threading.Event(), threading.Event(), threading.Event()

    def sweep() -> None:
        started.set()
        gate.wait(30)

    chores = [
        Periodic(name="slow", every=60, run=sweep),
        Periodic(name="quick", every=60, run=sung.set, prompt=True),
    ]
    monkeypatch.setattr(periodic, "_all", {each.name: each for each in chores})

    async def rounds() -> bool:
        daemon = Daemon()
        going = asyncio.create_task(do_rounds(daemon))
        both = await asyncio.to_thread(lambda: started.wait(20) and sung.wait(20))
        gate.set()
        daemon.stopping.set()
        await going
        return both

    assert asyncio.run(rounds())
