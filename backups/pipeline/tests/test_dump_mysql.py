from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
import tracemalloc
from contextlib import contextmanager

import pytest

from backups.pipeline.errors import SourceError, StalledError
from backups.pipeline.fingerprint import Fingerprinted
from backups.pipeline.mysql import MysqlSource, binaries, catalogue
from backups.pipeline.mysql.dumptext import DumpReader
from backups.pipeline.tests.dumps import wait_for
from tests import servers

ROWS = """
CREATE TABLE `rows` AS SELECT seq AS i, repeat(md5(seq), 20) AS m FROM seq_1_to_100000;
CREATE TABLE small (a int);
INSERT INTO small VALUES (1);
"""


@pytest.fixture(scope="module")
def rows(mariadb):
    with servers.new_mariadb_database(mariadb, ROWS) as dbname:
        yield mariadb.server(dbname)


@pytest.fixture(scope="module")
def stoppable():
    with servers.mariadb_server() as server:
        server.createdb("shop")
        servers.run_script(server, "shop", ROWS)
        yield server


@pytest.fixture
def own(stoppable):
    """A server that a test may stop."""
    if not stoppable.pid:
        stoppable.start()
    return stoppable


@pytest.fixture
def fake_dump(monkeypatch, tmp_path):
    """fake_dump(script): a dump program that does something else."""

    def make(script: str) -> None:
        program = tmp_path / "mariadb-dump"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        found = dataclasses.replace(binaries.client_for("mariadb"), dump=str(program))
        monkeypatch.setattr(binaries, "client_for", lambda flavour: found)

    return make


def drain(source):
    with source.open() as dump:
        for _ in dump:
            pass


@contextmanager
def locked(server, table):
    """Another session holds a lock that a dump can't get past."""
    with server.connect() as holder:
        catalogue.query(holder, f"LOCK TABLES {table} WRITE")
        yield


def sessions(server) -> list[str]:
    with server.connect(answer_seconds=10) as connected:
        return catalogue.names(
            connected,
            "SELECT command FROM information_schema.processlist WHERE id <> connection_id()",
        )


def test_it_works(rows):
    source = MysqlSource(rows)
    info = source.check()
    assert info.tool.startswith("mariadb-dump (MariaDB) 10.")
    assert "MariaDB" in info.server_version
    assert info.warnings == ()
    with source.open() as dump:
        stage = Fingerprinted(dump, DumpReader)
        assert sum(len(block) for block in stage) > 60_000_000
    found = stage.result()
    assert {name: table.rows for name, table in found.tables.items()} == {
        "`rows`": 100_000,
        "`small`": 1,
    }
    assert found.complete


def test_tables_without_transactions_are_told(mariadb):
    script = "CREATE TABLE a (i int) ENGINE = MyISAM; CREATE TABLE b (i int) ENGINE = Aria;"
    with servers.new_mariadb_database(mariadb, script) as dbname:
        info = MysqlSource(mariadb.server(dbname)).check()
    assert info.traits["unprotected"] == ["a", "b"]
    assert "The engine of a, b knows no transactions" in info.warnings[0]


def test_memory_does_not_grow_with_the_dump(rows):
    tracemalloc.start()
    try:
        drain(MysqlSource(rows))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


def test_a_server_that_stops_in_the_middle_is_told(own):
    with MysqlSource(own.server("shop")).open() as dump:
        stream = iter(dump)
        next(stream)
        own.stop()
        with pytest.raises(SourceError, match="ended the connection in the middle"):
            list(stream)


def test_a_server_that_freezes_is_a_stall(own):
    source = MysqlSource(own.server("shop"), stall_seconds=2)
    with source.open() as dump:
        stream = iter(dump)
        next(stream)
        os.kill(own.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StalledError, match="No byte came for 2 s: the server does not"):
                list(stream)
        finally:
            os.kill(own.pid, signal.SIGCONT)


def test_waiting_for_a_lock_is_told_with_who_is_there(rows):
    told = []
    source = MysqlSource(rows, stall_seconds=60, lock_wait_seconds=3, waiting=told.append)
    with (
        locked(rows, "small"),
        pytest.raises(SourceError, match=r"stayed locked for longer than the plan waits.*process"),
    ):
        drain(source)
    assert any("it waits for a lock (table metadata lock)" in sentence for sentence in told)
    wait_for(lambda: len(sessions(rows)) == 0)


def test_a_lock_that_is_given_up_in_time_does_not_matter(rows):
    with rows.connect() as holder:
        catalogue.query(holder, "LOCK TABLES small WRITE")
        release = threading.Timer(1.0, lambda: catalogue.query(holder, "UNLOCK TABLES"))
        release.start()
        drain(MysqlSource(rows, lock_wait_seconds=30))
        release.join()


@pytest.mark.alone
def test_a_dump_that_is_left_while_it_waits_for_a_lock_ends_on_the_server_too(rows):
    with locked(rows, "small"), MysqlSource(rows).open() as dump:
        waits = threading.Thread(target=lambda: next(iter(dump)))
        waits.start()
        waits.join()  # the first table comes before the lock
        time.sleep(0.5)
        began = time.monotonic()
        dump.close()
        assert time.monotonic() - began < 2
        wait_for(lambda: len(sessions(rows)) == 1, 2)


@pytest.mark.alone
def test_on_a_socket_the_session_is_found_too(mariadb, rows):
    address = dataclasses.replace(rows, host=str(mariadb.folder))
    with MysqlSource(address).open() as dump:
        next(iter(dump))
        assert len(sessions(address)) == 1
        dump.close()
        wait_for(lambda: sessions(address) == [], 2)


def test_a_dump_without_its_end_is_no_dump(rows, fake_dump):
    fake_dump("echo 'CREATE TABLE x (a int);'")
    with pytest.raises(SourceError, match=r"mariadb-dump exited 0, but its dump has no end"):
        drain(MysqlSource(rows))


def test_an_exit_status_decides_though_the_end_was_there(rows, fake_dump):
    fake_dump("echo '-- Dump completed on 2024-01-01'; exit 2")
    with pytest.raises(SourceError, match="it gave no reason"):
        drain(MysqlSource(rows))


def test_a_dump_program_that_quotes_the_password_is_masked(rows, fake_dump):
    fake_dump(f"echo 'error: {rows.password}' >&2; exit 2")
    with pytest.raises(SourceError) as raised:
        drain(MysqlSource(rows))
    assert rows.password not in str(raised.value)


def test_passwords_of_any_characters_reach_the_program(mariadb, rows):
    for password in ("a\"b\\c'd#e ;f", " spaces ", "ünï😀", "#", "\\n"):
        with mariadb.connect() as connected:
            catalogue.query(connected, "CREATE OR REPLACE USER odd IDENTIFIED BY %s", [password])
            catalogue.query(connected, "GRANT ALL ON *.* TO odd")
        drain(MysqlSource(dataclasses.replace(rows, user="odd", password=password)))


def test_no_file_and_no_variable_of_the_machine_changes_a_dump(rows, monkeypatch, tmp_path):
    (tmp_path / ".my.cnf").write_text("[client]\npassword=wrong\nuser=wrong\n[mysqldump]\nxml\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MYSQL_PWD", "wrong")
    monkeypatch.setenv("MYSQL_HOST", "nowhere.invalid")
    drain(MysqlSource(rows))
