from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest

from backups.pipeline.errors import SourceError, StalledError
from backups.pipeline.fingerprint import Fingerprinted
from backups.pipeline.postgres import PostgresSource, binaries
from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.postgres.dumptext import DumpReader
from backups.pipeline.tests.awkward import AWKWARD, TABLES
from backups.pipeline.tests.dumps import ROWS, running, wait_for
from tests import servers

LOCK = "BEGIN; LOCK TABLE rows IN ACCESS EXCLUSIVE MODE"


@pytest.fixture(scope="module")
def awkward(postgres):
    with servers.new_database(postgres, AWKWARD) as dbname:
        yield postgres.server(dbname)
    postgres.execute("DROP ROLE awkward_owner")


@pytest.fixture
def fake_pg_dump(postgres15, monkeypatch, tmp_path):
    """fake_pg_dump(script): a source whose pg_dump is that shell script."""

    def make(script: str) -> PostgresSource:
        program = tmp_path / "pg_dump"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        found = binaries.Installation(
            folder=tmp_path, version="15.20", programs=frozenset({"pg_dump"})
        )
        monkeypatch.setattr(binaries, "dump_for", lambda major: found)
        return PostgresSource(postgres15.server())

    return make


def read(source: PostgresSource) -> bytes:
    with source.open() as dump:
        return b"".join(bytes(block) for block in dump)


def read_until(source: PostgresSource, position: int, act) -> None:
    """Read on after `act` was called at that block."""
    with source.open() as dump:
        for at, _ in enumerate(dump):
            if at == position:
                act()


def signal_dump(number: int) -> None:
    running("pg_dump")[0].send_signal(number)


def sessions_of(server: PostgresServer) -> int:
    with server.database("postgres").connect() as connection:
        return connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [server.dbname]
        ).fetchone()[0]


@contextmanager
def locked(server: PostgresServer):
    with server.connect("the migration") as connection:
        connection.execute(LOCK)
        yield


def test_it_works(awkward):
    source = PostgresSource(awkward)
    info = source.check()
    assert info.engine == "postgres"
    assert info.tool.startswith("pg_dump (PostgreSQL) ")
    assert info.estimated_bytes > 1_000_000
    assert info.traits["encoding"] == "UTF8"
    assert {"postgres", "awkward_owner"} <= set(info.traits["roles"])

    with source.open() as dump:
        stage = Fingerprinted(dump, DumpReader)
        raw = hashlib.sha256()
        for block in stage:
            raw.update(block)
    found = stage.result()

    assert {name: table.rows for name, table in found.tables.items()} == TABLES
    assert found.sequences["public.counter"] == "42, false"
    assert found.complete
    assert running("pg_dump") == []


def test_digests_are_those_of_the_servers_own_copy(awkward):
    """The oracle: what COPY gives for a table, asked for one by one."""
    with PostgresSource(awkward).open() as dump:
        stage = Fingerprinted(dump, DumpReader)
        for _ in stage:
            pass
    with awkward.connect(options="-c timezone=UTC") as connection:
        for name, table in stage.result().tables.items():
            if name.startswith("pg_catalog"):
                continue
            columns = f"({', '.join(table.columns)})" if table.columns else ""
            with connection.cursor().copy(f"COPY {name} {columns} TO STDOUT") as copy:
                data = b"".join(bytes(piece) for piece in copy)
            assert table.digest == hashlib.sha256(data).hexdigest(), name
            assert (table.bytes, table.rows) == (len(data), data.count(b"\n")), name


def test_the_same_data_is_the_same_text_whatever_the_database_is_set_to(awkward):
    def digests() -> dict:
        with PostgresSource(awkward).open() as dump:
            stage = Fingerprinted(dump, DumpReader)
            for _ in stage:
                pass
        return stage.result().tables

    before = digests()
    settings = {"timezone": "Asia/Tokyo", "bytea_output": "escape", "datestyle": "German"}
    with awkward.connect() as connection:
        for name, value in settings.items():
            connection.execute(f"ALTER DATABASE {awkward.dbname} SET {name} = '{value}'")
    try:
        assert digests() == before
    finally:
        with awkward.connect() as connection:
            connection.execute(f"ALTER DATABASE {awkward.dbname} RESET ALL")


def test_blocks_are_large_and_of_one_buffer(rows):
    with PostgresSource(rows).open() as dump:
        sizes, buffers = [], set()
        for block in dump:
            sizes.append(len(block))
            buffers.add(id(block.obj))
            time.sleep(0.01)  # as a compressor does, so that the pipe fills
    assert max(sizes) > 500_000
    assert len(buffers) == 1


# What can go wrong on the way --------------------------------------------------------------------


def test_a_killed_pg_dump_is_an_error(rows):
    with pytest.raises(SourceError, match="killed by signal 9") as caught:
        read_until(PostgresSource(rows), 1, lambda: signal_dump(signal.SIGKILL))
    assert not caught.value.permanent
    assert sessions_of(rows) == 0


def test_a_server_stopped_in_the_middle_is_an_error():
    with servers.postgres_server(servers.OLD) as server:
        server.execute(ROWS)
        with pytest.raises(SourceError, match="ended the connection in the middle") as caught:
            read_until(PostgresSource(server.server()), 1, server.stop)
    assert not caught.value.permanent
    assert running("pg_dump") == []


@pytest.mark.alone
def test_leaving_ends_pg_dump_and_its_session(rows):
    began = time.monotonic()
    with PostgresSource(rows).open() as dump:
        next(iter(dump))
        assert running("pg_dump")
        began = time.monotonic()
    assert running("pg_dump") == []
    assert sessions_of(rows) == 0
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("stuck", [False, True])
@pytest.mark.alone
def test_leaving_ends_the_session_that_waits_for_a_lock(rows, stuck):
    """`stuck`: pg_dump itself can't react, as when it is stopped or hangs in the kernel."""

    with locked(rows):
        with PostgresSource(rows).open():
            wait_for(lambda: sessions_of(rows) == 2)
            if stuck:
                signal_dump(signal.SIGSTOP)
            began = time.monotonic()
        assert running("pg_dump") == []
        assert sessions_of(rows) == 1  # the lock's owner
        assert time.monotonic() - began < 2


def test_a_lock_that_lasts_too_long_is_told_with_who_holds_it(rows):
    waits = []
    with locked(rows), pytest.raises(SourceError, match="stayed locked") as caught:
        read(PostgresSource(rows, lock_wait_seconds=3, waiting=waits.append))
    assert not caught.value.permanent
    assert "a lock on rows, held by process" in str(caught.value)
    assert "the migration, user postgres" in str(caught.value)
    assert "Nothing came yet: it waits for a lock on rows" in waits[0]


def test_a_dump_that_does_not_begin_is_stalled_and_says_why(rows):
    with locked(rows), pytest.raises(StalledError, match="did not begin for 3 s") as caught:
        read(PostgresSource(rows, stall_seconds=3))
    assert "it waits for a lock on rows, held by process" in str(caught.value)
    assert sessions_of(rows) == 0


def test_a_dump_that_stops_in_the_middle_is_stalled(rows):
    with pytest.raises(StalledError, match="No byte came for 3 s"):
        read_until(PostgresSource(rows, stall_seconds=3), 0, lambda: signal_dump(signal.SIGSTOP))
    assert running("pg_dump") == []
    assert sessions_of(rows) == 0


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 'CREATE TABLE t ();'", "exited 0, but its dump has no end"),
        ("echo '-- PostgreSQL database dump complete'; exit 1", "pg_dump of .* failed"),
        ('echo "pg_dump: error: it is $PGPASSWORD" >&2; exit 1', "failed: it is ••••••"),
    ],
)
def test_what_is_not_a_whole_dump_is_never_taken_for_one(fake_pg_dump, script, sentence):
    with pytest.raises(SourceError, match=sentence):
        read(fake_pg_dump(script))


@pytest.mark.alone
def test_a_pg_dump_that_ignores_sigterm_is_killed(fake_pg_dump):
    with fake_pg_dump("trap '' TERM; echo begun; while :; do sleep 0.1; done").open() as dump:
        next(iter(dump))
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert running("pg_dump") == []


def test_a_talkative_pg_dump_does_not_block(fake_pg_dump):
    talk = "i=0; while [ $i -lt 20000 ]; do echo warning: something is odd >&2; i=$((i+1)); done"
    assert read(fake_pg_dump(f"{talk}; echo '-- PostgreSQL database dump complete'"))


def test_a_reader_that_takes_its_time_is_no_stall(rows):
    with PostgresSource(rows, stall_seconds=3).open() as dump:
        for position, _ in enumerate(dump):
            if position == 1:
                time.sleep(4)


def test_settings_of_the_role_do_not_end_the_dump(rows, postgres):
    postgres.execute("ALTER ROLE postgres SET statement_timeout = '30ms'")
    try:
        assert b"dump complete" in read(PostgresSource(rows))
    finally:
        postgres.execute("ALTER ROLE postgres RESET statement_timeout")


@pytest.mark.parametrize("first", ["reader", "pg_dump"])
@pytest.mark.alone
def test_pg_dump_and_its_session_die_with_the_process_that_reads_it(rows, tmp_path, first):
    """`pg_dump` first: it can't cancel its query then, and the server has to notice by itself."""
    script = tmp_path / "reader.py"
    script.write_text(
        "import os, sys, time\n"
        "from backups.pipeline.postgres import PostgresServer, PostgresSource\n"
        f"server = PostgresServer(host={rows.host!r}, port={rows.port}, dbname={rows.dbname!r},\n"
        "    password=os.environ['SECRET'])\n"
        "with PostgresSource(server, label='orphan').open() as dump:\n"
        "    print('reading', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with locked(rows):
        process = subprocess.Popen(
            [sys.executable, str(script)],
            env={**os.environ, "SECRET": rows.password, "PYTHONPATH": os.getcwd()},
            stdout=subprocess.PIPE,
        )
        with process:
            process.stdout.readline()
            dump = wait_for(lambda: psutil.Process(process.pid).children())[0]
            wait_for(lambda: sessions_of(rows) == 2)
            if first == "pg_dump":
                process.send_signal(signal.SIGSTOP)  # or it would clean up
                dump.kill()
            process.kill()
        wait_for(lambda: not psutil.pid_exists(dump.pid))
        wait_for(lambda: sessions_of(rows) == 1, seconds=2)


# Secrets -----------------------------------------------------------------------------------------


def test_the_password_is_in_no_command_line_and_no_text_of_ours(rows):
    with PostgresSource(rows).open() as dump:
        next(iter(dump))
        process = running("pg_dump")[0]
        assert rows.password not in " ".join(process.cmdline())
        assert process.environ()["PGPASSWORD"] == rows.password
    for text in (repr(rows), str(rows), f"{rows}", rows.conninfo(), repr(rows.environment())):
        assert rows.password not in text


def test_nothing_of_libpq_is_inherited(rows, monkeypatch):
    for name in ("HOST", "PORT", "USER", "DATABASE", "PASSWORD", "SSLMODE", "OPTIONS", "APPNAME"):
        monkeypatch.setenv(f"PG{name}", "-c nonsense=1")
    assert b"dump complete" in read(PostgresSource(rows))


def test_sessions_carry_a_name_that_people_find(rows):
    with PostgresSource(rows, label="shop").open() as dump:
        next(iter(dump))
        with rows.connect() as connection:
            names = [
                name
                for (name,) in connection.execute("SELECT application_name FROM pg_stat_activity")
            ]
    assert any(re.fullmatch("backdrop shop [0-9a-f]{8}", name) for name in names)


def test_a_database_that_went_away_since_the_check_is_told(pg_database, postgres):
    source = PostgresSource(pg_database)
    source.check()
    postgres.dropdb(pg_database.dbname)
    with pytest.raises(SourceError, match="has no database"):
        read(source)
