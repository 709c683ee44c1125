"""The supervisor with real processes: what it starts, restarts, stops, and never leaves."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from backdrop_site.tests.marked import PATIENCE, marked, wait_until

RUNNER = """
import json, sys
from backdrop_site.supervisor import Program, Supervisor
programs = [Program(**each) for each in json.loads(sys.argv[1])]
Supervisor(programs, on_ready=lambda: print("all ready")).run()
"""
SLEEPER = "import time; print('sleeping'); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(600)"
DAEMON_BELOW = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
print('daemon started')
time.sleep(600)
"""
POLITE = """
import signal, sys, time
def leave(*_):
    print('putting things away'); sys.exit(0)
signal.signal(15, leave)
print('sleeping'); time.sleep(600)
"""


@contextmanager
def supervised(tmp_path: Path, *codes: str, grace: float = 5.0, arguments: tuple[str, ...] = ()):
    programs = [
        {"name": f"p{n}", "argv": [sys.executable, "-c", code, *arguments], "grace_seconds": grace}
        for n, code in enumerate(codes)
    ]
    command = [sys.executable, "-c", RUNNER, json.dumps(programs)]
    with marked(command, tmp_path / "log") as run:
        yield run


def test_it_works(tmp_path):
    with supervised(tmp_path, SLEEPER, POLITE) as run:
        run.wait_for("all ready")
        run.wait_for("p0       | sleeping")
        run.wait_for("p1       | sleeping")
        assert len(run.pids()) == 3
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(PATIENCE) == 0
        assert "p1       | putting things away" in run.text()
        assert run.pids() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_even_what_forked_away(tmp_path, number):
    with supervised(tmp_path, DAEMON_BELOW) as run:
        run.wait_for("daemon started")
        assert len(run.pids()) == 3
        run.process.send_signal(number)
        assert run.process.wait(PATIENCE) == 0
        assert run.pids() == []


def test_killing_the_supervisor_kills_its_programs(tmp_path):
    with supervised(tmp_path, SLEEPER, STUBBORN) as run:
        run.wait_for("deaf")
        run.wait_for("sleeping")
        run.process.kill()
        run.nothing_is_left()


def test_a_program_that_ends_is_started_again_and_later_each_time(tmp_path):
    with supervised(tmp_path, "import sys; print('up'); sys.exit(3)", SLEEPER) as run:
        run.wait_for("p0 ended (exit code 3); starting it again in 0.5 s.")
        run.wait_for("p0 ended (exit code 3); starting it again in 1 s.")
        run.wait_for("p0 ended (exit code 3); starting it again in 2 s.")
        assert run.text().count("p0       | up") == 3
        assert run.text().count("p1       | sleeping") == 1


def test_a_program_that_ends_well_is_started_again_too(tmp_path):
    with supervised(tmp_path, "print('done')") as run:
        run.wait_for("p0 ended (exit code 0); starting it again")
        wait_until(lambda: run.text().count("p0       | done") == 2, "a second start")


def test_what_a_killed_program_left_is_ended_before_it_is_started_again(tmp_path):
    pids = tmp_path / "pids"
    code = f"""
import os, time
if os.fork() == 0:
    os.setsid(); time.sleep(600)
open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')
time.sleep(600)
"""
    with supervised(tmp_path, code) as run:
        wait_until(lambda: pids.exists() and len(run.pids()) == 3, "the first start")
        first = int(pids.read_text())
        os.kill(first, signal.SIGKILL)
        run.wait_for("p0 ended (SIGKILL); starting it again in 0.5 s.")
        wait_until(lambda: len(pids.read_text().split()) == 2, "the second start")
        wait_until(lambda: len(run.pids()) == 3, "leader and child of the second start alone")


@pytest.mark.alone
def test_a_program_that_ignores_being_asked_is_killed_after_its_grace(tmp_path):
    with supervised(tmp_path, STUBBORN, grace=1.0) as run:
        run.wait_for("deaf")
        run.process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        assert run.process.wait(5) == 0
        assert 0.9 < time.monotonic() - asked < 4
        assert run.pids() == []


def test_asking_twice_hurries(tmp_path):
    with supervised(tmp_path, STUBBORN, grace=60.0) as run:
        run.wait_for("deaf")
        run.process.send_signal(signal.SIGINT)
        run.wait_for("ask again to stop at once")
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(PATIENCE) == 0
        assert run.pids() == []


def test_a_program_that_can_not_be_started_is_told_and_tried_again(tmp_path):
    programs = [{"name": "gone", "argv": ["/nowhere/program"]}]
    command = [sys.executable, "-c", RUNNER, json.dumps(programs)]
    with marked(command, tmp_path / "log") as run:
        run.wait_for("gone can't be started")
        wait_until(lambda: run.text().count("gone can't be started") == 2, "another try")
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(PATIENCE) == 0


def test_a_line_without_an_end_and_bytes_that_are_no_text_are_shown(tmp_path):
    code = "import os; os.write(1, b'caf\\xe9 without end')"
    with supervised(tmp_path, code) as run:
        run.wait_for("p0       | caf\ufffd without end")
