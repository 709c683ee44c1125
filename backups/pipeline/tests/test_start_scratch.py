from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest

from backups.pipeline import scratch
from backups.pipeline.errors import PipelineError, ScratchError
from backups.pipeline.postgres import binaries, copies
from backups.pipeline.postgres.scratch import ScratchPostgres
from backups.pipeline.tests.dumps import wait_for
from tests import servers

SOMEBODY = 54321, 54321
STARTER = """
import sys, time
from backups.pipeline.postgres import binaries
from backups.pipeline.postgres.scratch import ScratchPostgres
with ScratchPostgres(binaries.server_for(15)) as server:
    print(server.pid, server.folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def starter():
    """Another process that started a scratch server: itself, the server's pid, its folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    )
    pid, folder = process.stdout.readline().split()
    yield process, int(pid), Path(folder)
    process.kill()
    process.wait()
    process.stdout.close()
    scratch.remove(folder)


@pytest.mark.parametrize("major", [servers.OLD, servers.NEW])
def test_it_works(major):
    began = time.monotonic()
    with ScratchPostgres(binaries.server_for(major)) as server:
        assert time.monotonic() - began < 10  # below one second on a quiet machine
        server.createdb("ünï")
        with server.connect("ünï") as connection:
            row = connection.execute(
                "SELECT current_setting('server_version_num')::int / 10000,"
                " pg_encoding_to_char(encoding), datcollate FROM pg_database"
                " WHERE datname = current_database()"
            ).fetchone()
        assert row == (major, "UTF8", "C.UTF-8")
        pid, folder = server.pid, server.folder
    assert not psutil.pid_exists(pid)
    assert not folder.exists()


def test_a_server_that_listens_wants_its_password(postgres15):
    with psycopg.connect(postgres15.dsn()) as connection:
        assert connection.execute("SELECT inet_server_addr()::text").fetchone() == ("127.0.0.1/32",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres15.server().conninfo(), password="wrong")


def test_a_server_on_a_socket_wants_its_password_and_opens_no_port():
    with ScratchPostgres() as server:
        assert psutil.Process(server.pid).net_connections("inet") == []
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.server().conninfo(), password="wrong")


def test_only_its_account_enters_the_folder(postgres15):
    assert postgres15.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_dies_with_its_starter(starter, deadly):
    process, pid, folder = starter
    backends = [child.pid for child in psutil.Process(pid).children()]
    os.kill(process.pid, deadly)
    process.wait()
    wait_for(lambda: not any(map(psutil.pid_exists, [pid, *backends])))
    assert scratch.sweep(folder.parent) >= 1
    assert not folder.exists()


def test_a_living_owners_folder_is_not_swept(postgres15):
    scratch.sweep(postgres15.folder.parent)
    with postgres15.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_remove_ends_the_server_of_another_process(starter):
    _, pid, folder = starter
    scratch.remove(folder)
    wait_for(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert not folder.exists()
    scratch.remove(folder)  # idempotent


def test_remove_refuses_any_other_folder(tmp_path):
    with pytest.raises(ValueError, match="not a scratch server's folder"):
        scratch.remove(tmp_path)
    assert tmp_path.exists()


def test_opened_and_closed_are_told_the_folder():
    told = []
    with ScratchPostgres(opened=told.append, closed=told.append) as server:
        assert told == [str(server.folder)]
    assert told == [str(server.folder)] * 2


def test_a_server_that_does_not_start_says_why_and_leaves_nothing():
    server = ScratchPostgres(settings={"no_such_setting": "1"})
    with pytest.raises(ScratchError, match="no_such_setting"), server:
        pass
    assert not server.folder.exists()


def test_a_stopped_server_starts_again():
    with ScratchPostgres(listen=True, durable=True) as server:
        server.execute("CREATE TABLE kept (id int)")
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            server.connect()
        server.start()
        server.execute("SELECT * FROM kept")


def test_missing_roles_can_not_log_in(postgres15):
    postgres15.create_missing_roles(["postgres", 'odd "name"', "odd2"])
    postgres15.create_missing_roles(['odd "name"'])
    with postgres15.connect() as connection:
        found = connection.execute(
            "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname LIKE 'odd%' ORDER BY 1"
        ).fetchall()
    assert found == [('odd "name"', False), ("odd2", False)]


def test_room_is_measured_where_the_server_would_be(tmp_path):
    assert scratch.free_bytes() > 0
    assert scratch.free_bytes(tmp_path) == pytest.approx(
        shutil.disk_usage(tmp_path).free, abs=2**30
    )


def test_the_server_never_runs_as_root(postgres15):
    expected = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    assert psutil.Process(postgres15.pid).username() == expected


def test_a_wheel_that_the_account_can_not_reach_is_copied_once(tmp_path):
    original = binaries.server_for(servers.NEW)
    package = original.folder.parent.parent
    locked = tmp_path / "locked"
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.parent / name, locked / name)
    locked.chmod(0o700)
    hidden = replace(original, folder=locked / package.name / "pginstall" / "bin")

    copied = copies.enterable(hidden, SOMEBODY, parent=tmp_path)
    again = copies.enterable(hidden, SOMEBODY, parent=tmp_path)

    assert copied.folder == again.folder
    assert not copied.folder.is_relative_to(locked)
    assert copied.folder.stat().st_mode & 0o005 == 0o005
    with ScratchPostgres(copied) as server:
        server.execute("SELECT 1")


def test_a_folder_that_somebody_else_could_write_is_not_run_from(tmp_path):
    found = binaries.Installation(
        folder=tmp_path / "bin", version="1.0", programs=frozenset(binaries.SERVER)
    )
    found.folder.mkdir(mode=0o700)
    squatted = tmp_path / f"backdrop-postgres-1.0-{os.geteuid()}"
    squatted.mkdir()
    squatted.chmod(0o777)
    with pytest.raises(PipelineError, match="not this user's own"):
        copies.enterable(found, SOMEBODY, parent=tmp_path)
