from __future__ import annotations

import dataclasses

import pymysql
import pytest

from backups.pipeline import engines
from backups.pipeline.comparison import compare
from backups.pipeline.errors import LackingError, RestoreError
from backups.pipeline.fingerprint import Fingerprinted
from backups.pipeline.mysql import MysqlSink, MysqlSource, binaries, catalogue, programs
from backups.pipeline.mysql.dumptext import DumpReader
from backups.pipeline.mysql.script import Moved
from backups.pipeline.mysql.sink import drop_restoring
from backups.pipeline.tests.awkward_mysql import AWKWARD, TABLES
from tests import servers

ADDRESS = "127.0.0.1"
HEAD = b"CREATE TABLE `t` (\n  a int\n);\n"
END = b"-- Dump completed on 2024-01-01  0:00:00\n"


def read(source):
    with source.open() as dump:
        stage = Fingerprinted(dump, DumpReader)
        blocks = [bytes(block) for block in stage]
    return blocks, stage.result()


@pytest.fixture(scope="module")
def awkward(mariadb):
    with servers.new_mariadb_database(mariadb, AWKWARD) as dbname:
        yield dbname
    with mariadb.connect() as connected:
        catalogue.query(connected, "DROP USER 'gone away'@'%'")


@pytest.fixture(scope="module")
def dumped(mariadb, awkward):
    """The awkward database's dump, its fingerprint and what is known of it."""
    source = MysqlSource(mariadb.server(awkward))
    return *read(source), source.check()


@pytest.fixture
def name(mariadb):
    yield "restored"
    mariadb.dropdb("restored")


def ask(server, dbname: str, query: str):
    with server.connect(dbname) as connected:
        rows = catalogue.query(connected, query)
    return rows[0][0] if rows else None


def schemas(server) -> set[str]:
    with server.connect() as connected:
        return set(
            catalogue.names(connected, "SELECT schema_name FROM information_schema.schemata")
        )


def load(server, dbname: str, *parts: bytes, **more) -> MysqlSink:
    sink = MysqlSink(server.server(), dbname=dbname, **more)
    sink.load(iter(parts))
    return sink


def test_it_works(mariadb, dumped, name):
    blocks, expected, info = dumped
    assert {table: found.rows for table, found in expected.tables.items()} == TABLES
    assert expected.sequences == {"`counter`": "7042, 0"}
    before = schemas(mariadb)
    sink = load(mariadb, name, *blocks, traits=info.traits)
    assert sink.notes == []
    _, found = read(MysqlSource(mariadb.server(name)))
    assert str(compare(expected, found)) == f"All {len(TABLES)} tables came back the same."
    assert ask(mariadb, name, "SELECT @@collation_database") == "utf8mb4_unicode_ci"
    assert schemas(mariadb) == before | {name}


def test_views_triggers_routines_and_events_come_back(mariadb, dumped, name):
    blocks, _, info = dumped
    load(mariadb, name, *blocks, traits=info.traits)
    assert ask(mariadb, name, "SELECT n FROM aa_second") == TABLES["`everything`"]
    assert "not a row" in ask(mariadb, name, "SELECT looks_like_data()")
    with mariadb.connect(name) as connected:
        catalogue.query(connected, "INSERT INTO parents VALUES (5, NULL)")
        catalogue.query(connected, "CALL adds(6)")
        assert catalogue.names(connected, "SELECT n FROM tallied ORDER BY n") == ["5", "6"]
        with pytest.raises(pymysql.IntegrityError):
            catalogue.query(connected, "INSERT INTO children VALUES (9, 99)")
    shown = "SELECT definer FROM information_schema.views WHERE table_schema = database()"
    assert ask(mariadb, name, f"{shown} AND table_name = 'aa_second'") == "gone away@%"
    assert ask(mariadb, name, "SELECT count(*) FROM information_schema.events"
               " WHERE event_schema = database()") == 1  # fmt: skip


def test_a_default_asks_the_sequence_that_came_with_it(mariadb, dumped, name):
    blocks, _, info = dumped
    small = [bytes(byte) for block in blocks for byte in (block[:70_001], block[70_001:])]
    load(mariadb, name, *small, traits=info.traits)
    with mariadb.connect(name) as connected:
        catalogue.query(connected, "INSERT INTO numbered (a) VALUES (2)")
        there = catalogue.names(connected, "SELECT id FROM numbered ORDER BY id DESC LIMIT 1")
        assert there == ["7042"]
        assert catalogue.asking_defaults(connected, name, name)
        shown = catalogue.query(connected, "SHOW CREATE TABLE numbered")[0][1]
    assert f"nextval(`{name}`.`counter`)" in shown


def test_only_definitions_of_columns_are_rewritten():
    line = b"  `id` int DEFAULT nextval(`a`.`s`),\n"
    data = b"INSERT INTO `t` VALUES ('  `x` nextval(`a`.`s`)'),\n('nextval(`a`.`s`)');\n"
    text = b"CREATE TABLE `t` (\n" + line + b");\n" + data
    expected = text.replace(line, line.replace(b"`a`", b"`b`"))
    for at in range(len(text)):
        assert b"".join(Moved([text[:at], text[at:]], b"`a`", b"`b`")) == expected


def test_a_drill_on_a_scratch_server_gives_back_everything(dumped):
    blocks, expected, info = dumped
    engine = engines.get("mysql")
    with engine.scratch(info.traits) as scratch:
        scratch.sink("drill").load(iter(blocks))
        _, found = read(scratch.source("drill"))
    compared = compare(expected, found)
    assert compared.good, str(compared)
    assert found.schema == expected.schema


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (b"'two'", b"'TWO'", "`unsafe` has other content"),
        (b",\n(4,'same')", b"", "`no_key` has 999 rows instead of 1000"),
        (b"CREATE TABLE `tallied`", b"CREATE TABLE `retold`", "`tallied` did not come back"),
        (b"0x00FF0A0D", b"0x00FF0A0E", "`everything` has other content"),
        (b"7042, 0", b"7056, 0", "sequence `counter` has another value"),
    ],
)
def test_a_change_is_told(mariadb, dumped, name, before, after, verdict):
    blocks, expected, _ = dumped
    text = b"".join(blocks)
    assert before in text
    changed = (
        text.replace(before, after, 1).replace(b"`tallied` ", b"`retold` ")
        if (b"retold" in after)
        else text.replace(before, after, 1)
    )
    stage = Fingerprinted([changed], DumpReader)
    list(stage)
    compared = compare(expected, stage.result()).strict()
    assert not compared.good
    assert verdict in str(compared)


def test_a_database_is_replaced_whole(mariadb, dumped, name):
    blocks, expected, info = dumped
    mariadb.createdb(name)
    servers.run_script(
        mariadb,
        name,
        "CREATE TABLE everything (old int); CREATE TABLE only_before (a int);"
        "CREATE VIEW seen AS SELECT 1; CREATE PROCEDURE gone() SELECT 1;"
        "CREATE TRIGGER t BEFORE INSERT ON only_before FOR EACH ROW SET NEW.a = 1;",
    )
    before = schemas(mariadb)
    load(mariadb, name, *blocks, replace=True, traits=info.traits)
    _, found = read(MysqlSource(mariadb.server(name)))
    assert compare(expected, found).good
    assert schemas(mariadb) == before
    assert ask(mariadb, name, "SELECT count(*) FROM information_schema.routines"
               " WHERE routine_name = 'gone'") == 0  # fmt: skip


def test_a_replaced_database_stays_as_it_was_when_the_exchange_fails(mariadb, dumped, name):
    blocks, _, info = dumped
    mariadb.createdb(name)
    servers.run_script(
        mariadb,
        name,
        "CREATE TABLE held (a int);"
        "CREATE TRIGGER t BEFORE INSERT ON held FOR EACH ROW SET NEW.a = 1;",
    )
    before = schemas(mariadb)

    def make_it_fail():  # a table of that name is in the way of the move
        with mariadb.connect() as connected:
            hidden = next(each for each in schemas(mariadb) - before if "__restoring_" in each)
            marker = hidden[hidden.index("__restoring_") :]
            catalogue.query(connected, f"CREATE TABLE `{hidden}`.`{marker}` (a int)")

    with pytest.raises(RestoreError, match="already exists"):
        MysqlSink(mariadb.server(), dbname=name, replace=True, traits=info.traits).load(
            iter(blocks), before_commit=make_it_fail
        )
    assert schemas(mariadb) == before
    with mariadb.connect(name) as connected:
        assert len(programs.trigger_statements(connected, name)) == 1
        assert programs.tables(connected, name) == ["held"]


def test_programs_that_are_refused_leave_nothing(mariadb, name):
    bad = b"CREATE VIEW v AS SELECT * FROM no_such_table;\n"
    before = schemas(mariadb)
    with pytest.raises(RestoreError, match="doesn't exist"):
        load(mariadb, name, HEAD, bad, END)
    assert schemas(mariadb) == before


@pytest.mark.parametrize("line", [b"\\! touch {}", b"system touch {}", b"tee {}"])
def test_a_dump_runs_no_command_of_the_client(mariadb, name, tmp_path, line):
    target = tmp_path / "made"
    with pytest.raises(RestoreError):
        load(mariadb, name, HEAD, line.replace(b"{}", bytes(target)) + b"\n;\n", END)
    assert not target.exists()


def test_a_dump_reads_no_file_of_ours(mariadb, name, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("1\n")
    statement = f"LOAD DATA LOCAL INFILE '{secret}' INTO TABLE t;\n".encode()
    with pytest.raises(RestoreError):
        load(mariadb, name, HEAD, statement, END)


@pytest.mark.parametrize("sandbox", [True, False])
def test_the_sandbox_line_of_a_dump_suits_every_client(mariadb, name, monkeypatch, sandbox):
    client = dataclasses.replace(binaries.client_for("mariadb"), sandbox=sandbox)
    monkeypatch.setattr(binaries, "client_for", lambda flavour: client)
    load(mariadb, name, b"/*M!999999\\- enable the sandbox mode */ \n" + HEAD, END)
    assert ask(mariadb, name, "SELECT count(*) FROM t") == 0


def test_an_error_is_told_with_the_line_of_the_dump(mariadb, name):
    lines = b"/*M!999999\\- enable the sandbox mode */ \n" + HEAD + b"INSERT INTO t VALUES (1,2);\n"
    with pytest.raises(RestoreError, match=r"Column count.*\(line 5 of the dump\)"):
        load(mariadb, name, lines, END)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (b"CREATE TABLE x (a int) COLLATE utf8mb4_0900_ai_ci;", "does not know the collation"),
        (b"CREATE TABLE x (a int) ENGINE = TokuDB;", "lacks the storage engine TokuDB"),
        (b"SET SESSION no_such_setting = 1;", "does not know the setting no_such_setting"),
    ],
)
def test_what_the_server_lacks_says_nothing_against_the_dump(mariadb, name, statement, sentence):
    with pytest.raises(LackingError, match=sentence):
        load(mariadb, name, HEAD, statement + b"\n", END)


def test_users_that_the_server_lacks_are_told(mariadb, name):
    view = b"CREATE DEFINER = 'nobody here'@'%' VIEW v AS SELECT 1;\n"
    sink = load(mariadb, name, HEAD, view, END)
    assert "has no user nobody here@%" in sink.notes[0]


def test_a_server_that_knows_no_such_collation_takes_its_own(mariadb, name):
    sink = load(mariadb, name, HEAD, END, traits={"charset": "utf8mb4", "collation": "nowhere_ci"})
    assert "lacks the collation nowhere_ci" in sink.notes[0]


def test_what_a_death_left_in_the_middle_of_the_exchange_is_dropped(mariadb):
    hidden, marker = "shop__restoring_12345678", "__restoring_12345678"
    for dbname in (hidden, "shop"):
        mariadb.createdb(dbname)
    servers.run_script(mariadb, "shop", f"CREATE TABLE {marker} (a int);")
    drop_restoring(mariadb.server(), hidden)
    assert not {hidden, "shop"} & schemas(mariadb)


def test_nothing_of_a_replaced_database_is_dropped_before_its_successor_is_whole(mariadb):
    hidden, marker = "shop__restoring_12345678", "__restoring_12345678"
    ours = {"shop", "shop__replaced_12345678"}
    for dbname in (hidden, *ours):
        mariadb.createdb(dbname)
    servers.run_script(mariadb, "shop", f"CREATE TABLE {marker} (a int);")
    drop_restoring(mariadb.server(), hidden)
    assert ours <= schemas(mariadb)
    assert hidden not in schemas(mariadb)
    for dbname in ours:
        mariadb.dropdb(dbname)


def test_a_name_of_the_longest_kind_is_restored_into(mariadb, dumped):
    longest = "n" * 64
    try:
        load(mariadb, longest, HEAD, END)
        assert longest in schemas(mariadb)
    finally:
        mariadb.dropdb(longest)
