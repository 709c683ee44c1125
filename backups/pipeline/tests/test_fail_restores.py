from __future__ import annotations

import resource
import signal
import time
from contextlib import ExitStack, contextmanager

import pytest

from backups.pipeline.compression import COMPRESSIONS
from backups.pipeline.errors import CorruptError, LackingError, RestoreError, StalledError
from backups.pipeline.postgres import PostgresSink
from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.tests.dumps import (
    END,
    FILLER,
    TABLE,
    databases,
    load,
    never,
    running,
    value,
)
from tests import servers


def assert_nothing_stays(server, before: set[str]) -> None:
    assert databases(server) == before
    assert running("psql") == []


def test_it_works(postgres, name):
    """The servers are told apart from the dump: this one is taken."""
    load(postgres, name, TABLE, FILLER, END)
    assert value(postgres, name, "SELECT count(*) FROM t") == 300_000


def test_the_servers_own_sentence_and_line_are_told(postgres, name):
    before = databases(postgres)
    dump = b"CREATE TABLE public.t (a integer);\n\nCOPY public.t (a) FROM stdin;\n1\nx\n\\.\n"
    with pytest.raises(RestoreError) as caught:
        load(postgres, name, dump, END)
    assert "invalid input syntax for type integer" in str(caught.value)
    assert "line 6 of the dump, COPY t, line 2, column a" in str(caught.value)
    assert not isinstance(caught.value, LackingError)
    assert_nothing_stays(postgres, before)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (b'ALTER TABLE public.t OWNER TO "no one";\n', "has no role no one"),
        (b"CREATE EXTENSION no_such;\n", "lacks the extension"),
        (b'CREATE TABLE u (a text COLLATE "xx_YY");\n', "lacks the collation xx_YY"),
        (b"SET default_tablespace = fast;\nCREATE TABLE u ();\n", "has no tablespace fast"),
        (b"SET no_such_setting = 1;\n", "does not know the setting no_such_setting"),
    ],
)
def test_what_the_server_lacks_says_nothing_against_the_backup(postgres, name, statement, sentence):
    with pytest.raises(LackingError, match=sentence) as caught:
        load(postgres, name, TABLE, statement, END)
    assert caught.value.permanent
    assert caught.value.remedy


@pytest.mark.parametrize("cut", [100, 2_000_000, len(FILLER), len(FILLER) + len(TABLE) + 10])
def test_a_dump_cut_short_is_corrupt(postgres15, name, cut):
    """psql itself would take half a table for a whole one."""
    before = databases(postgres15)
    with pytest.raises(CorruptError, match="ends in the middle"):
        load(postgres15, name, (TABLE + FILLER + END)[:cut])
    assert_nothing_stays(postgres15, before)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("harm", ["truncated", "flipped"])
def test_harmed_bytes_from_storage_leave_nothing(postgres15, name, compression, harm):
    before = databases(postgres15)
    codec = COMPRESSIONS[compression]
    stored = bytearray(b"".join(codec.compress([TABLE, FILLER, END])))
    if harm == "truncated":
        del stored[-100:]
    else:
        stored[len(stored) // 2] ^= 4
    with pytest.raises(CorruptError):
        PostgresSink(postgres15.server(), dbname=name).load(codec.decompress([stored]))
    assert_nothing_stays(postgres15, before)


@pytest.mark.alone
def test_a_stream_that_fails_leaves_nothing(postgres, name):
    class Cancelled(BaseException):
        pass

    def stream():
        yield TABLE
        yield FILLER
        assert len(running("psql")) == 1
        raise Cancelled

    before = databases(postgres)
    began = time.monotonic()
    with pytest.raises(Cancelled):
        PostgresSink(postgres.server(), dbname=name).load(stream())
    assert_nothing_stays(postgres, before)
    assert time.monotonic() - began < 5


def test_cancelling_ends_what_the_server_is_at(postgres, name):
    class Cancelled(BaseException):
        pass

    def cancel(_sentence: str) -> None:
        raise Cancelled

    before = databases(postgres)
    with pytest.raises(Cancelled):
        load(postgres, name, b"SELECT pg_sleep(60);\n", END, stall_seconds=1, waiting=cancel)
    assert_nothing_stays(postgres, before)


def test_a_killed_psql_says_nothing_against_the_backup(postgres15, name):
    def stream():
        yield TABLE
        yield FILLER
        running("psql")[0].send_signal(signal.SIGKILL)
        for _ in range(20):
            yield FILLER
        yield END

    before = databases(postgres15)
    with pytest.raises(LackingError, match="psql was killed by signal 9") as caught:
        PostgresSink(postgres15.server(), dbname=name).load(stream())
    assert not caught.value.permanent
    assert_nothing_stays(postgres15, before)


def test_a_server_stopped_in_the_middle_says_nothing_against_the_backup():
    with servers.postgres_server(servers.OLD) as server:

        def stream():
            yield TABLE
            yield FILLER
            server.stop()
            yield FILLER
            yield END

        with pytest.raises(LackingError, match="ended the connection") as caught:
            PostgresSink(server.server(), dbname="restored").load(stream())
        assert not caught.value.permanent
        assert "drop it by hand" in caught.value.__notes__[0]
        assert running("psql") == []


@contextmanager
def files_of_at_most(size: int):
    """What is started meanwhile can write no larger file, as if its disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_server_without_room_says_nothing_against_the_backup():
    with ExitStack() as stack:
        with files_of_at_most(32 << 20):
            server = stack.enter_context(servers.postgres_server(servers.OLD))
        before = databases(server)
        with pytest.raises(LackingError, match="has no room left") as caught:
            load(server, "restored", TABLE, *[FILLER] * 12, END)
        assert "could not extend file" in str(caught.value)
        assert_nothing_stays(server, before)


def test_a_role_that_may_not_create_databases_is_refused_at_once(postgres15):
    postgres15.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    server = PostgresServer(host="127.0.0.1", port=postgres15.port, user="plain", password="plain")
    with pytest.raises(RestoreError, match="permission denied to create database") as caught:
        PostgresSink(server, dbname="theirs").load(never())
    assert caught.value.permanent
    with servers.new_database(postgres15) as dbname:
        postgres15.execute("ALTER ROLE plain CREATEDB")
        with pytest.raises(RestoreError, match="another role owns it"):
            PostgresSink(server, dbname=dbname, replace=True).load(never())
    postgres15.execute("DROP ROLE plain")


@pytest.mark.parametrize(
    "changed", [{"password": "wrong"}, {"host": "no-such-host.invalid"}, {"port": 1}]
)
def test_a_server_that_can_not_be_reached_is_told_before_a_byte_is_read(postgres15, changed):
    server = postgres15.server()
    wrong = PostgresServer(
        **{name: changed.get(name, getattr(server, name)) for name in server.__slots__}
    )
    with pytest.raises(RestoreError) as caught:
        PostgresSink(wrong, dbname="restored").load(never())
    assert caught.value.permanent is ("password" in changed)


def test_a_restore_that_waits_for_a_lock_is_stalled(postgres, name):
    made, before = [], databases(postgres)

    def stream():
        with postgres.connect(made[0]) as other:
            other.execute("SELECT pg_advisory_lock(7)")
            yield b"SELECT pg_advisory_lock(7);\n"
            yield END
            yield FILLER * 10  # more than the pipe holds

    sink = PostgresSink(postgres.server(), dbname=name, stall_seconds=3, opened=made.append)
    with pytest.raises(StalledError, match="did not move for 3 s: it waits for a lock on advisory"):
        sink.load(stream())
    assert_nothing_stays(postgres, before)


def test_a_server_at_work_is_no_stall(postgres15, name):
    waits = []
    load(
        postgres15,
        name,
        TABLE,
        b"SELECT pg_sleep(5);\n",
        END,
        stall_seconds=3,
        waiting=waits.append,
    )
    assert "The server is at work: SELECT pg_sleep(5);" in waits[0]


# A dump is a program -----------------------------------------------------------------------------


def test_commands_for_psql_are_not_carried_out(postgres, name, tmp_path):
    touched = tmp_path / "touched"
    run = b"\\! touch %s\n" % str(touched).encode()
    head = b"--\n-- PostgreSQL database dump\n--\n\n"
    for dump in (
        run + END,
        head + b"\\restrict theirs\n\\unrestrict theirs\n" + run + END,
        head + b"\\restrict theirs\n" + TABLE + END + b"\\unrestrict theirs\n" + run,
        TABLE + FILLER + b"\\unrestrict\n" + run + END,
    ):
        with pytest.raises((RestoreError, CorruptError)):
            load(postgres, name, dump)
    assert not touched.exists()
    assert name not in databases(postgres)


def test_the_password_is_in_no_command_line(postgres15, name):
    seen = []

    def stream():
        yield TABLE
        seen.extend(running("psql")[0].cmdline())
        yield END

    PostgresSink(postgres15.server(), dbname=name).load(stream())
    assert any("--file=-" in each for each in seen)
    assert not any(postgres15.password in each for each in seen)
