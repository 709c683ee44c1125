"""`make up`: what it starts, says and refuses, and that nothing of it is left behind."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from backdrop_site.environment import SECRET_NAMES
from backdrop_site.tests.marked import marked, wait_until
from backdrop_site.tests.platforms import MANAGE, SECONDS, platform, variables
from tests import servers

pytestmark = pytest.mark.timeout(150)

SLOW = """
CREATE TABLE numbers AS SELECT i, md5(i::text) AS digest FROM generate_series(1, 20000) i;
"""


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status


def register(client, server, dbname: str) -> tuple[int, int]:
    """A database and a plan for it, as a user makes them."""
    place = server.server(dbname)
    database = client.post(
        "/api/databases/",
        {
            "name": "numbers",
            "host": place.host,
            "port": place.port,
            "dbname": dbname,
            "username": place.user,
            "password": str(place.password),
        },
    )["id"]
    destination = client.get("/api/destinations/")["results"][0]["id"]
    plan = {"name": "numbers", "database": database, "destination": destination}
    return database, client.post("/api/plans/", plan)["id"]


def test_it_works(tmp_path):
    with platform(tmp_path, bare=True) as up:
        text = up.run.text()
        assert f"Backdrop is up: {up.url}" in text
        assert all(f"{name} is ready." in text for name in ("web", "worker", "daemon"))
        assert "gRPC: 127.0.0.1:" in text
        assert get(re.search(r"Metrics: (http://\S+/metrics)", text)[1]) == 200
        assert get(f"{up.url}/healthz") == 200
        assert up.client.get("/auth/me")["username"] == "admin"
        assert up.stop(signal.SIGTERM) == 0
        assert up.run.pids() == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One platform for the tests that leave it as it was."""
    with platform(tmp_path_factory.mktemp("shared")) as up:
        yield up


def test_the_first_start_prints_a_generated_login_and_the_second_does_not(tmp_path):
    with platform(tmp_path, ADMIN_PASSWORD="") as up:
        first = up.run.text()
        assert up.stop(signal.SIGINT) == 0
    with platform(tmp_path, ADMIN_PASSWORD="") as up:
        again = up.run.text()
    assert "admin" in first
    assert "admin" not in again


def test_a_second_one_on_the_same_folder_is_refused_with_the_address_of_the_first(shared):
    second = subprocess.run(
        [*MANAGE, "up"],
        env={**os.environ, **variables(shared.folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert second.returncode == 1
    assert f"Backdrop runs already at {shared.url}" in second.stderr
    assert get(f"{shared.url}/healthz") == 200


@pytest.mark.parametrize("name", ["PORT", "METRICS_PORT"])
def test_a_taken_port_that_was_asked_for_is_told(tmp_path, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with marked(
            [*MANAGE, "up"], tmp_path / "log", env=variables(tmp_path, **{name: str(port)})
        ) as run:
            assert run.process.wait(SECONDS) == 1
            assert f"Port {port} on 127.0.0.1 is taken." in run.text()
            assert f"set another {name}." in run.text()
            assert run.pids() == []


def test_killing_it_leaves_no_process_and_started_again_it_goes_on(tmp_path, postgres15):
    with servers.new_database(postgres15, SLOW) as dbname:
        with platform(tmp_path) as up:
            _, plan = register(up.client, postgres15, dbname)
            worker = next(pid for pid in up.run.pids() if b"runworkers" in cmdline(pid))
            os.kill(worker, signal.SIGSTOP)  # so that what is asked for now has to wait
            backup = up.client.post(f"/api/plans/{plan}/run/")
            up.run.process.kill()
            up.run.nothing_is_left(10)
        with platform(tmp_path) as up:
            *_, status = up.client.watch(backup["task"]["id"])
            assert status["status"] == "succeeded"
            assert up.client.get(f"/api/backups/{backup['id']}/")["complete"]
            assert up.stop(signal.SIGTERM) == 0


def test_it_works_on_postgresql_too(tmp_path, postgres15):
    """Backdrop's own database on one server, which also holds the one that is backed up."""
    keys = {name: secrets.token_urlsafe(48) for name in SECRET_NAMES}
    with ExitStack() as stack:
        own = stack.enter_context(servers.new_database(postgres15))
        dbname = stack.enter_context(servers.new_database(postgres15, SLOW))
        up = stack.enter_context(platform(tmp_path, DB_URL=postgres15.dsn(own), **keys))
        _, plan = register(up.client, postgres15, dbname)
        backup = up.client.post(f"/api/plans/{plan}/run/")
        *_, status = up.client.watch(backup["task"]["id"])
        assert status["status"] == "succeeded", status
        assert up.stop(signal.SIGTERM) == 0
        assert up.run.pids() == []


def test_a_program_that_dies_is_started_again_and_works(shared):
    web = next(pid for pid in shared.run.pids() if b"runweb" in cmdline(pid))
    os.kill(web, signal.SIGKILL)
    shared.run.wait_for("web ended (SIGKILL); starting it again")
    # The supervisor holds the port meanwhile: a request waits instead of being refused.
    assert get(f"{shared.url}/healthz") == 200


def test_killing_what_started_it_stops_it(tmp_path):
    """`make` killed by SIGKILL must not leave the platform running."""
    shell = ["/bin/sh", "-c", f"{' '.join(MANAGE)} up --die-with-parent; true"]
    with marked(shell, tmp_path / "log", env=variables(tmp_path)) as run:
        run.wait_for("web is ready", SECONDS)
        run.process.kill()
        run.nothing_is_left(20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_running_backup_is_stopped_with_it(tmp_path, postgres15, number):
    with ExitStack() as stack:
        dbname = stack.enter_context(servers.new_database(postgres15, SLOW))
        up = stack.enter_context(platform(tmp_path, SHUTDOWN_GRACE_SECONDS="1"))
        holder = stack.enter_context(postgres15.connect(dbname))
        # pg_dump waits for this lock, as long as the test wants.
        holder.execute("BEGIN; LOCK TABLE numbers IN ACCESS EXCLUSIVE MODE")
        _, plan = register(up.client, postgres15, dbname)
        up.client.post(f"/api/plans/{plan}/run/")
        wait_until(lambda: "Lock" in waits(postgres15, dbname), "pg_dump to wait for the lock", 30)
        up.run.process.send_signal(number)
        up.run.process.wait(SECONDS)
        up.run.nothing_is_left(10)
        wait_until(
            lambda: len(waits(postgres15, dbname)) == 1, "all sessions but the holder's to end", 10
        )
        assert not list((tmp_path / "backups").rglob("*.sql*"))


def waits(server, dbname: str) -> list[str | None]:
    """What each session in this database waits for."""
    with server.connect() as connection:
        asked = "SELECT wait_event_type FROM pg_stat_activity WHERE datname = %s"
        return [kind for (kind,) in connection.execute(asked, [dbname])]


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
