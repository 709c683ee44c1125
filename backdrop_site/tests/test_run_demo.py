"""`make demo`, with little data: the same from end to end, and honest when something is wrong."""

from __future__ import annotations

import re
import signal
import socket
import time

import pytest

from backdrop_site.demo import screen
from backdrop_site.tests.marked import marked
from backdrop_site.tests.platforms import MANAGE, variables

pytestmark = pytest.mark.timeout(170)
SECONDS = 120


def demo(tmp_path, *options: str, **more: str):
    environment = {**variables(tmp_path, DEMO_MB="3"), "TERM": "dumb", "NO_COLOR": "1", **more}
    return marked([*MANAGE, "demo", *options], tmp_path / "log", env=environment)


OWN = {
    "STORAGE": "s3",
    "NOTIFY_URLS": "json://127.0.0.1:9",
    "POSTGRES_URL": "postgres://me:mine@127.0.0.1:1/mine",
    "ALLOWED_HOSTS": "backdrop.example.org",
    "HTTPS": "true",
    "QUEUE": "elsewhere",
}
"""What somebody who runs the demo may have set for a platform of their own."""


def test_it_works(tmp_path):
    with demo(tmp_path, "--once", **OWN) as run:
        assert run.process.wait(SECONDS) == 0, run.text()
        text = run.text()
        assert run.pids() == []
    assert re.search(r"verdict +proven", text)
    (stored,) = (tmp_path / "demo" / "backups").rglob("*.sql.gz")
    assert stored.name in text
    assert stored.with_name(f"{stored.name}.manifest.json").exists()
    assert "http://127.0.0.1:" in text
    assert "login" in text


def test_without_once_it_stays_up_until_it_is_interrupted(tmp_path):
    with demo(tmp_path) as run:
        run.wait_for("Press Ctrl-C to stop.", SECONDS)
        time.sleep(1)
        assert not run.ended
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(30) == 0
        assert run.pids() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_in_the_middle_it_leaves_no_process(tmp_path, number):
    with demo(tmp_path) as run:
        run.wait_for("Watch along", SECONDS)
        run.process.send_signal(number)
        run.process.wait(30)
        run.nothing_is_left(20)


def test_too_little_disk_is_told_before_anything_is_started(tmp_path):
    with demo(tmp_path, "--once", DEMO_MB="100000000") as run:
        assert run.process.wait(SECONDS) == 1
        assert "of disk for a while" in run.text()
        assert "make demo DEMO_MB=50" in run.text()


def test_a_platform_that_does_not_come_up_fails_the_demo_with_its_reason(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with demo(tmp_path, "--once", PORT=port) as run:
            assert run.process.wait(SECONDS) == 1
            assert "Backdrop did not come up." in run.text()
            assert f"Port {port} on 127.0.0.1 is taken." in run.text()
            assert run.pids() == []


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (4e8, "400.0 MB"),
        (2.5e12, "2500.0 GB"),
    ],
)
def test_sizes_are_said_as_people_read_them(count, text):
    assert screen.size(count) == text
