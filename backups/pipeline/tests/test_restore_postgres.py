from __future__ import annotations

import threading
from contextlib import suppress

import psycopg
import pytest

from backups.pipeline.comparison import TableVerdict, compare
from backups.pipeline.errors import RestoreError
from backups.pipeline.postgres import PostgresSink, PostgresSource, binaries
from backups.pipeline.postgres.dumptext import DumpReader
from backups.pipeline.postgres.scratch import ScratchPostgres
from backups.pipeline.postgres.sink import drop_restoring
from backups.pipeline.tests.awkward import AWKWARD
from backups.pipeline.tests.dumps import (
    END,
    FILLER,
    TABLE,
    databases,
    load,
    never,
    read,
    value,
)
from tests import servers


@pytest.fixture(scope="module")
def dumped(postgres):
    """The awkward database's dump, its fingerprint and traits."""
    with servers.new_database(postgres, AWKWARD) as dbname:
        source = PostgresSource(postgres.server(dbname))
        blocks, found = read(source)
        yield blocks, found, source.check().traits
    postgres.execute("DROP ROLE IF EXISTS awkward_owner")


def test_it_works(postgres, dumped, name):
    blocks, expected, traits = dumped
    PostgresSink(postgres.server(), dbname=name, traits=traits).load(iter(blocks))
    again, found = read(PostgresSource(postgres.server(name)))
    compared = compare(expected, found)
    assert compared.settled(iter(blocks), iter(again), DumpReader).good, str(compared)
    assert found.schema == expected.schema
    assert value(postgres, name, "SELECT looks_like_data() LIKE '%not a row%'")
    assert value(postgres, name, "SELECT tableowner FROM pg_tables WHERE tablename = 'nothing'")


def test_one_transaction_keeps_the_order_of_rows(postgres, dumped, name):
    blocks, expected, traits = dumped
    sink = PostgresSink(postgres.server(), dbname=name, traits=traits, single_transaction=True)
    sink.load(iter(blocks))
    _, found = read(PostgresSource(postgres.server(name)))
    verdicts = {each.verdict for each in compare(expected, found).tables}
    assert verdicts == {TableVerdict.SAME}


def test_an_older_server_takes_what_a_newer_client_dumped(postgres15, monkeypatch):
    newer = next(found for found in binaries.installations() if found.major == servers.NEW)
    monkeypatch.setattr(binaries, "dump_for", lambda major: newer)
    statements = "CREATE TABLE t (a text); INSERT INTO t VALUES ('SET transaction_timeout = 0;')"
    with servers.new_database(postgres15, statements) as dbname:
        blocks, expected = read(PostgresSource(postgres15.server(dbname)))
        assert b"SET transaction_timeout = 0;\n" in b"".join(blocks)
        PostgresSink(postgres15.server(), dbname=f"{dbname}_back").load(iter(blocks))
        _, found = read(PostgresSource(postgres15.server(f"{dbname}_back")))
        postgres15.dropdb(f"{dbname}_back")
    assert compare(expected, found).good


def test_a_newer_server_takes_an_older_dump(postgres15, postgres_new):
    with servers.new_database(postgres15, AWKWARD) as dbname:
        source = PostgresSource(postgres15.server(dbname))
        blocks, expected = read(source)
        roles = source.check().traits["roles"]
    postgres15.execute("DROP ROLE awkward_owner")
    with ScratchPostgres(postgres_new.installation) as server:
        server.create_missing_roles(roles)
        sink = PostgresSink(server.server(), dbname="drill", single_transaction=True)
        sink.load(iter(blocks))
        _, found = read(PostgresSource(server.server("drill")))
    assert compare(expected, found).good


def test_tablespaces_of_the_source_can_be_had_in_a_scratch_server(postgres15):
    postgres15.create_missing_tablespaces(["fast", "pg_default"])
    with servers.new_database(postgres15, "CREATE TABLE t () TABLESPACE fast") as dbname:
        source = PostgresSource(postgres15.server(dbname))
        blocks, expected = read(source)
        traits = source.check().traits
    assert traits["tablespaces"] == ["fast"]
    with ScratchPostgres() as server:
        server.create_missing_tablespaces(traits["tablespaces"])
        PostgresSink(server.server(), dbname="drill").load(iter(blocks))
        _, found = read(PostgresSource(server.server("drill")))
    assert compare(expected, found).good
    postgres15.execute("DROP TABLESPACE fast")


def test_a_dump_without_restrict_lines_is_taken_too(postgres15, name):
    load(postgres15, name, TABLE, FILLER, END)
    assert value(postgres15, name, "SELECT count(*) FROM t") == 300_000


# The name ----------------------------------------------------------------------------------------


def test_an_existing_database_is_refused_before_a_byte_is_read(postgres15):
    with servers.new_database(postgres15) as dbname:
        sink = PostgresSink(postgres15.server(), dbname=dbname)
        with pytest.raises(RestoreError, match=f"already has a database {dbname}") as caught:
            sink.load(never())
    assert caught.value.permanent


def test_replacing_ends_sessions_and_keeps_the_owner(postgres):
    postgres.execute("CREATE ROLE keeper")
    with servers.new_database(postgres, "CREATE TABLE old ()") as dbname:
        postgres.execute(f"ALTER DATABASE {dbname} OWNER TO keeper")
        before = databases(postgres)
        with postgres.connect(dbname), postgres.connect(dbname):
            load(postgres, dbname, TABLE, END, replace=True)
        assert databases(postgres) == before
        assert (
            value(
                postgres,
                dbname,
                "SELECT string_agg(relname, ',') FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace",
            )
            == "t"
        )
        owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        assert value(postgres, dbname, owner) == "keeper"
    postgres.execute("DROP ROLE keeper")


def test_replacing_works_from_a_session_of_that_very_database(postgres15):
    with servers.new_database(postgres15, "CREATE TABLE old ()") as dbname:
        PostgresSink(postgres15.server(dbname), dbname=dbname, replace=True).load([TABLE, END])
        assert value(postgres15, dbname, "SELECT count(*) FROM t") == 0


def test_a_failed_replacement_leaves_the_former_as_it_was(postgres):
    with servers.new_database(postgres, "CREATE TABLE old ()") as dbname:
        before = databases(postgres)
        with pytest.raises(RestoreError):
            load(postgres, dbname, TABLE, b"SELECT 1/0;\n", END, replace=True)
        assert databases(postgres) == before
        assert value(postgres, dbname, "SELECT count(*) FROM old") == 0


def test_the_longest_name_is_taken(postgres15):
    name = "n" * 63
    load(postgres15, name, TABLE, END)
    load(postgres15, name, TABLE, END, replace=True)
    assert name in databases(postgres15)
    postgres15.dropdb(name)


def test_what_is_made_meanwhile_is_told_so_that_it_can_be_undone(postgres15, name):
    told = []
    load(postgres15, name, TABLE, END, opened=told.append, closed=told.append)
    assert told[0] == told[1]
    assert told[0].startswith(f"{name}__restoring_")
    with servers.new_database(postgres15) as dbname:
        left = f"{dbname}__restoring_1234"
        postgres15.createdb(left)
        with postgres15.connect(left):
            drop_restoring(postgres15.server(), left)
        drop_restoring(postgres15.server(), left)
        assert left not in databases(postgres15)
        with pytest.raises(ValueError, match="not a database that a restore began"):
            drop_restoring(postgres15.server(), dbname)


def test_what_was_replaced_is_dropped_after_a_death_in_between(postgres15):
    with servers.new_database(postgres15) as dbname:
        replaced = f"{dbname}__replaced_1234"
        postgres15.createdb(replaced)
        drop_restoring(postgres15.server(), f"{dbname}__restoring_1234")
        assert replaced not in databases(postgres15)
        assert dbname in databases(postgres15)


def test_clients_that_connect_again_and_again_do_not_prevent_a_replacement(postgres15):
    """What a connection pool does when its sessions are ended."""
    stop = threading.Event()

    def reconnect() -> None:
        while not stop.is_set():
            with suppress(psycopg.OperationalError), postgres15.connect(dbname) as connection:
                connection.execute("SELECT pg_sleep(10)")

    with servers.new_database(postgres15, "CREATE TABLE old ()") as dbname:
        threads = [threading.Thread(target=reconnect) for _ in range(4)]
        for thread in threads:
            thread.start()
        load(postgres15, dbname, TABLE, END, replace=True)
        stop.set()
        assert value(postgres15, dbname, "SELECT count(*) FROM t") == 0
        postgres15.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{dbname}'"
        )
        for thread in threads:
            thread.join()


def test_a_former_database_that_can_not_be_dropped_is_told(postgres15):
    """The restore is done by then: no reason to call it a failure."""
    subscribe = "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false)"
    with servers.new_database(
        postgres15, f"SET client_min_messages = error; {subscribe}"
    ) as dbname:
        [note] = load(postgres15, dbname, TABLE, END, replace=True).notes
        assert value(postgres15, dbname, "SELECT count(*) FROM t") == 0
    assert note.startswith("The former database could not be dropped; it is called test_")
    former = note.split()[-2]
    postgres15.execute("ALTER SUBSCRIPTION s SET (slot_name = NONE)", former)
    postgres15.execute("DROP SUBSCRIPTION s", former)
    postgres15.dropdb(former)


def test_a_collation_that_the_server_lacks_is_noted(postgres15, name):
    traits = {"encoding": "UTF8", "collate": "xx_YY.utf8", "ctype": "xx_YY.utf8", "provider": "c"}
    sink = load(postgres15, name, TABLE, END, traits=traits)
    assert "lacks the collation xx_YY.utf8" in sink.notes[0]
    assert load(postgres15, name, TABLE, END, replace=True).notes == []


def test_the_encoding_of_the_source_is_kept(postgres15, name):
    traits = {"encoding": "LATIN1", "collate": "C", "ctype": "C", "provider": "c"}
    load(postgres15, name, b"SET client_encoding = 'LATIN1';\n" + TABLE, END, traits=traits)
    assert value(postgres15, name, "SHOW server_encoding") == "LATIN1"
