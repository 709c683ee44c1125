"""What the port of an engine promises, asked of every engine with a real server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from backups.pipeline import engines
from backups.pipeline.comparison import TableVerdict, compare
from backups.pipeline.engine import Engine
from backups.pipeline.errors import CorruptError, RestoreError, SourceError
from backups.pipeline.fingerprint import Fingerprint, Fingerprinted
from backups.pipeline.tests.dumps import never, wait_for
from tests import servers

ROWS = 200_000
KILLED_SECONDS = 2.0


@dataclass
class Case:
    """An engine, a server of it, and a database of one table on it."""

    engine: Engine
    server: Any
    """A scratch server of the tests."""
    dbname: str
    sessions: str
    """A query that counts the sessions of dumps and loads."""
    names: str
    """A query for the names of all databases."""

    def source(self, **more):
        return self.engine.source(self.server.server(self.dbname), **more)

    def sink(self, dbname: str, **more):
        return self.engine.sink(self.server.server(), dbname=dbname, **more)

    def ask(self, query: str, dbname: str | None = None) -> list[Any]:
        with self.server.connect(dbname or self.dbname) as connection:
            cursor = connection.cursor()
            cursor.execute(query)
            return [row[0] for row in cursor.fetchall()]

    def databases(self) -> set[str]:
        return set(self.ask(self.names))

    def read(self, source) -> tuple[list[bytes], Fingerprint]:
        with source.open() as dump:
            stage = Fingerprinted(dump, self.engine.reader)
            blocks = [bytes(block) for block in stage]
        return blocks, stage.result()

    def clients(self) -> list[psutil.Process]:
        """Our own children, those included that nobody has waited for; no servers."""
        servers = ("postgres", "mariadbd", "weed", "python", "python3", "redis-server")
        found = psutil.Process().children()
        return [each for each in found if each.name() not in servers and "gcs" not in each.name()]


CREATE = {
    "postgres": f"CREATE TABLE rows AS SELECT i, md5(i::text) FROM generate_series(1, {ROWS}) i",
    "mysql": f"CREATE TABLE `rows` AS SELECT seq AS i, md5(seq) AS m FROM seq_1_to_{ROWS}",
}


@pytest.fixture(scope="module", params=engines.ENGINES)
def case(request):
    if request.param == "postgres":
        server = request.getfixturevalue("postgres15")
        database: Callable[..., Any] = servers.new_database
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'backdrop'"
        sessions += " AND application_name <> 'backdrop scratch'"
        names = "SELECT datname FROM pg_database"
    else:
        server = request.getfixturevalue("mariadb")
        database = servers.new_mariadb_database
        sessions = "SELECT count(*) FROM information_schema.processlist WHERE id <> connection_id()"
        names = "SELECT schema_name FROM information_schema.schemata"
    with database(server, CREATE[request.param]) as dbname:
        yield Case(engines.get(request.param), server, dbname, sessions, names)


@pytest.fixture(scope="module")
def dumped(case):
    """The dump of its database, and what it holds."""
    return case.read(case.source())


@pytest.fixture
def name(case):
    yield "restored_here"
    case.server.dropdb("restored_here")


@pytest.fixture
def told():
    return []


@pytest.fixture(autouse=True)
def nothing_stays(case):
    before = case.databases()
    yield
    assert case.clients() == []
    assert {each for each in case.databases() - before if each != "restored_here"} == set()


def test_it_works(case, dumped, name):
    blocks, expected = dumped
    info = case.source().check()
    assert info.engine == case.engine.name
    assert info.estimated_bytes > ROWS
    assert expected.complete
    assert [table.rows for table in expected.tables.values()] == [ROWS]
    sink = case.sink(name, traits=info.traits)
    sink.load(iter(blocks))
    assert sink.notes == []
    _, found = case.read(case.engine.source(case.server.server(name)))
    compared = compare(expected, found)
    assert all(each.verdict is TableVerdict.SAME for each in compared.tables), str(compared)


def test_a_scratch_server_gives_back_what_it_took(case, dumped):
    blocks, expected = dumped
    opened = []
    with case.engine.scratch(
        case.source().check().traits, opened=opened.append, closed=opened.append
    ) as scratch:
        scratch.sink("drill").load(iter(blocks))
        _, found = case.read(scratch.source("drill"))
    assert compare(expected, found).good
    assert len(opened) == 2
    assert opened[0] == opened[1]


@pytest.mark.alone
def test_leaving_a_dump_ends_it_on_both_sides(case):
    with case.source().open() as dump:
        next(iter(dump))
        assert case.ask(case.sessions)[0] >= 1
        began = time.monotonic()
    assert time.monotonic() - began < KILLED_SECONDS
    wait_for(lambda: case.ask(case.sessions)[0] == 0, KILLED_SECONDS)


def test_a_killed_client_is_no_end_of_a_dump(case):
    with case.source().open() as dump:
        stream = iter(dump)
        next(stream)
        for client in case.clients():
            client.kill()
        with pytest.raises(SourceError, match="killed by signal 9 in the middle of the dump"):
            list(stream)


def test_a_stream_that_fails_leaves_nothing(case, dumped, name, told):
    class BrokenError(Exception):
        pass

    def broken():
        yield dumped[0][0]
        raise BrokenError

    sink = case.sink(name, opened=told.append, closed=told.remove)
    with pytest.raises(BrokenError):
        sink.load(broken())
    assert told == []
    assert name not in case.databases()


def test_a_dump_without_its_end_is_refused(case, dumped, name):
    with pytest.raises(CorruptError, match="end marker is missing"):
        case.sink(name).load(iter([dumped[0][0][:100_000]]))
    assert name not in case.databases()


def test_an_error_of_the_server_stops_the_load_at_its_line(case, dumped, name):
    broken = [*dumped[0][:-1], b"\nCREATE TABEL x;\n", *dumped[0][-1:]]
    with pytest.raises(RestoreError, match=r"syntax.*line \d+ of the dump"):
        case.sink(name).load(iter(broken))
    assert name not in case.databases()


def test_the_name_is_taken_only_when_that_is_confirmed(case, dumped, name, told):
    class LostError(Exception):
        pass

    def lost():
        assert name not in case.databases()
        assert len(told) == 1
        raise LostError

    with pytest.raises(LostError):
        case.sink(name, opened=told.append).load(iter(dumped[0]), before_commit=lost)
    assert name not in case.databases()


def test_a_taken_name_is_refused_before_the_first_byte(case, name):
    case.server.createdb(name)
    with pytest.raises(RestoreError, match=f"already has a database {name}") as raised:
        case.sink(name).load(never())
    assert raised.value.permanent


def test_a_database_is_replaced_where_that_is_asked_for(case, dumped, name):
    blocks, expected = dumped
    case.server.createdb(name)
    with case.server.connect(name) as connection:
        connection.cursor().execute("CREATE TABLE former (a int)")
    case.sink(name, replace=True).load(iter(blocks))
    _, found = case.read(case.engine.source(case.server.server(name)))
    assert compare(expected, found).good


def test_what_a_killed_restore_left_is_dropped(case, name):
    class KilledError(BaseException):
        pass

    left = []

    def die(hidden):
        left.append(hidden)
        case.server.createdb(hidden)  # as the restore itself would have done next
        raise KilledError

    with pytest.raises(KilledError):
        case.sink(name, opened=die).load(never())
    assert left[0] in case.databases()
    for _ in range(2):
        case.engine.drop_restoring(case.server.server(), left[0])
        assert left[0] not in case.databases()


@pytest.mark.parametrize(
    ("change", "permanent", "sentence"),
    [
        ({"password": "wrong & hidden"}, True, "refused user"),
        ({"dbname": "no_such_place"}, True, "has no database no_such_place"),
        ({"port": 1}, False, "Nothing listens at 127.0.0.1:1"),
        ({"host": "nowhere.invalid"}, False, "can't be resolved"),
    ],
)
def test_a_place_that_does_not_let_us_in_is_told(case, change, permanent, sentence):
    address = case.server.server(case.dbname)
    fields = {field: getattr(address, field) for field in ("host", "port", "dbname", "user")}
    reach = {**fields, "password": case.server.password, **change}
    with pytest.raises(SourceError, match=sentence) as raised:
        case.engine.source(case.engine.server(**reach)).check()
    assert raised.value.permanent is permanent
    assert raised.value.remedy
    assert reach["password"] not in f"{raised.value!r} {raised.value}"


def test_the_password_is_in_no_command_line(case):
    with case.source().open() as dump:
        next(iter(dump))
        lines = [" ".join(client.cmdline()) for client in case.clients()]
    assert lines
    assert not [line for line in lines if case.server.password in line]
