from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pymysql
import pytest

from backups.pipeline import scratch
from backups.pipeline.errors import ScratchError
from backups.pipeline.mysql import catalogue
from backups.pipeline.mysql.scratch import ScratchMariadb
from backups.pipeline.tests.dumps import wait_for

STARTER = """
import time
from backups.pipeline.mysql.scratch import ScratchMariadb
with ScratchMariadb() as server:
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


def test_it_works():
    told = []
    with ScratchMariadb(opened=told.append, closed=told.append) as server:
        assert psutil.Process(server.pid).net_connections("inet") == []
        assert server.folder.stat().st_mode & 0o777 == 0o700
        with server.connect() as connected:
            asked = "SELECT @@event_scheduler, @@local_infile, @@skip_networking, @@time_zone"
            assert catalogue.query(connected, asked) == [("OFF", 0, 1, "+00:00")]
            with pytest.raises(pymysql.MySQLError, match="secure"):
                catalogue.query(connected, "SELECT 1 INTO OUTFILE '/tmp/written'")
            assert set(catalogue.names(connected, "SELECT user FROM mysql.user")) == {
                "root",
                "mariadb.sys",
            }
        pid, folder = server.pid, server.folder
    assert not psutil.pid_exists(pid)
    assert not folder.exists()
    assert told == [str(folder)] * 2


def test_a_password_is_wanted_either_way(mariadb):
    for host in ("127.0.0.1", str(mariadb.folder)):
        address = mariadb.server().__class__(
            host=host, port=mariadb.port, user="root", password="wrong"
        )
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            address.connect()


def test_the_server_never_runs_as_root(mariadb):
    expected = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    assert psutil.Process(mariadb.pid).username() == expected


def test_the_password_is_in_no_command_line(mariadb):
    assert mariadb.password not in " ".join(psutil.Process(mariadb.pid).cmdline())


def test_the_server_dies_with_its_starter_and_is_swept(starter):
    process, pid, folder = starter
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not psutil.pid_exists(pid))
    scratch.sweep(folder.parent)
    wait_for(lambda: not folder.exists())  # by us, or by another's sweep


def test_remove_ends_the_server_of_another_process(starter):
    _, pid, folder = starter
    scratch.remove(folder)
    wait_for(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert not folder.exists()
    scratch.remove(folder)  # idempotent


def test_a_server_that_does_not_start_says_why_and_leaves_nothing():
    server = ScratchMariadb(settings={"no-such-setting": "1"})
    with pytest.raises(ScratchError, match="no-such-setting"), server:
        pass
    assert not server.folder.exists()
