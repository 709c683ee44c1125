"""The job `restore_dump`: uploaded dumps, honest and hostile, into a server that is thrown away."""

from __future__ import annotations

import gzip
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from accounts.models import Membership, Role
from backups import foreign_dumps
from backups.models import Database
from backups.pipeline.postgres import binaries, foreign, room, scratch
from tasks import queue, registry
from tasks.errors import JobError, PermanentError
from tasks.jobs.tests.here import Here
from tasks.uploads import options, sessions
from tasks.uploads.refusals import UploadError
from tests import servers

SHOP = """
    CREATE ROLE clerk;
    CREATE TABLE goods (id int PRIMARY KEY, name text);
    INSERT INTO goods SELECT i, 'good ' || i FROM generate_series(1, 500) i;
    CREATE TABLE sold (good int REFERENCES goods);
    GRANT SELECT ON goods TO clerk;
    ALTER TABLE sold OWNER TO clerk;
"""
HEAD = """--
-- PostgreSQL database dump
--

-- Dumped from database version 15.3
-- Dumped by pg_dump version 15.3

"""
TAIL = "\n--\n-- PostgreSQL database dump complete\n--\n\n"


@dataclass
class Noting(Here):
    """Keeps in mind what was opened."""

    folders: list[str] = field(default_factory=list)

    def opened(self, kind: str, **ids: str) -> None:
        if kind == "scratch":
            self.folders.append(ids["folder"])


def restore(tmp_path, content: bytes, filename: str = "a.sql", task_id="here", **asked):
    source = tmp_path / "source"
    source.write_bytes(content)
    context = Noting(tmp_path, source, filename, {"options": asked}, task_id=task_id)
    try:
        return dict(registry.get("restore_dump").run(context))
    finally:
        assert not [folder for folder in context.folders if Path(folder).exists()]


@pytest.fixture(scope="module")
def shop(postgres15):
    with servers.new_database(postgres15, SHOP) as dbname:
        yield postgres15.server(dbname)
    postgres15.execute("DROP ROLE IF EXISTS clerk")


def dump(server, *arguments: str) -> bytes:
    program = binaries.dump_for(15).program("pg_dump")
    command = [program, f"--dbname={server.conninfo()}", *arguments]
    return subprocess.run(command, env=server.environment(), capture_output=True, check=True).stdout


def test_it_works(tmp_path, shop):
    found = restore(tmp_path, dump(shop))
    assert found["kind"] == "plain SQL"
    assert found["dumped_by"].startswith("15.")
    assert found["restored_in"]
    tables = {table["table"]: table["rows"] for table in found["tables"]}
    assert tables == {"public.goods": 500, "public.sold": 0}
    assert found["rows"] == 500
    assert found["database_bytes"] > 0
    assert "clerk" in found["roles"]


@pytest.mark.parametrize("pack", [None, "gzip", "zstd"])
@pytest.mark.parametrize("form", ["--format=plain", "--format=custom"])
def test_archives_and_packed_ones_are_taken(tmp_path, shop, form, pack):
    content = dump(shop, form)
    if pack:
        content = subprocess.run([pack, "-c"], input=content, capture_output=True).stdout
    found = restore(tmp_path, content, "a")
    assert found["rows"] == 500
    assert found["kind"] == ("custom archive" if "custom" in form else "plain SQL")


HOSTILE = {
    "a shell command": "\\! touch {mark}",
    "a shell command behind a key of its own": "\\unrestrict abc\n\\! touch {mark}",
    "output into a file": "\\o {mark}\nSELECT 1;",
    "copy by the client": "CREATE TABLE t (a text);\n\\copy t from program 'touch {mark}'",
    "copy from a program": "CREATE TABLE t (a text);\nCOPY t FROM PROGRAM 'touch {mark}';",
    "copy to a program": "COPY (SELECT 1) TO PROGRAM 'touch {mark}';",
    "copy to a file": "COPY (SELECT 1) TO '{mark}';",
    "reading a file": "SELECT pg_read_file('/etc/passwd');",
    "copy from a file": "CREATE TABLE t (a text);\nCOPY t FROM '/etc/passwd';",
    "listing a folder": "SELECT * FROM pg_ls_dir('/');",
    "a large object from a file": "SELECT lo_import('/etc/passwd');",
    "a setting of the server": "ALTER SYSTEM SET archive_command = 'touch {mark}';",
    "an untrusted extension": "CREATE EXTENSION dblink;",
    "an untrusted language": "CREATE FUNCTION f() RETURNS int AS 'libc', 'system' LANGUAGE c;",
    "a power for itself": "ALTER ROLE CURRENT_USER SUPERUSER;",
    "a role with power": "CREATE ROLE evil SUPERUSER LOGIN;",
    "another identity": "SET SESSION AUTHORIZATION postgres;",
    "membership in power": "GRANT pg_execute_server_program TO postgres;",
    "a function that does it": "DO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {mark}'''; "
    "END $$;",
    "an index that does it": "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ "
    "BEGIN COPY (SELECT 1) TO PROGRAM 'touch {mark}'; RETURN 1; END $$;\n"
    "CREATE TABLE t AS SELECT 1 AS a;\nCREATE INDEX ON t (f(a));",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_dump_fails_and_does_no_harm(tmp_path, what):
    mark = Path("/tmp") / f"backdrop-harm-{uuid4().hex}"
    content = HEAD + HOSTILE[what].format(mark=mark) + TAIL
    with pytest.raises(JobError):
        restore(tmp_path, content.encode())
    assert not mark.exists()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("a shell command", "commands for psql itself"),
        ("a shell command behind a key of its own", "wrong key|commands for psql|restrict"),
        ("copy from a program", "pg_execute_server_program|permission denied"),
        ("an untrusted extension", "permission denied to create extension|lacks the extension"),
    ],
)
def test_what_kept_it_from_harm_is_told(tmp_path, what, told):
    with pytest.raises(JobError, match=told):
        restore(tmp_path, (HEAD + HOSTILE[what].format(mark="/tmp/never") + TAIL).encode())


def test_settings_that_hinder_the_count_are_a_clear_failure(tmp_path):
    content = "ALTER DATABASE dump SET statement_timeout = 1;\nCREATE TABLE t AS SELECT 1;"
    slow = f"{content}\nINSERT INTO t SELECT g FROM generate_series(1, 3000000) g;"
    with pytest.raises(PermanentError, match="can't be looked at"):
        restore(tmp_path, (HEAD + slow + TAIL).encode())


def test_its_own_restriction_is_taken_out(tmp_path):
    content = f"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n{HEAD}SELECT 1;\n{TAIL}"
    restore(tmp_path, (content + "\\unrestrict abc\n\n").encode())


def test_a_dump_that_fills_the_disk_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "LEFT", 1.0)  # whatever is written at all is too much
    monkeypatch.setattr(room, "_SECONDS", 0.05)
    content = HEAD + "CREATE TABLE t AS SELECT g FROM generate_series(1, 100000000) g;" + TAIL
    with pytest.raises(PermanentError, match="room"):
        restore(tmp_path, content.encode())


def test_one_that_is_too_large_is_refused_before_it_is_run(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "free_bytes", lambda: 1_000_000)
    bomb = gzip.compress(HEAD.encode() + b"-- \n" * 1_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(PermanentError, match="has no room"):
        restore(tmp_path, bomb)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no dump of PostgreSQL"),
        (b"SELECT 1;\n", "no dump of PostgreSQL"),
        (b"-- MySQL dump 10.13\n", "MySQL or MariaDB"),
        (b"PGDMP" + bytes(100), "no dump|broken"),
        (b"\x1f\x8b" + bytes(100), "gzip"),
        (HEAD.encode() + b"SELECT 1;\n", "ends in the middle"),
        (HEAD.encode() + b"SELECT * FROM nothing;\n" + TAIL.encode(), "line 8"),
    ],
)
def test_what_is_no_whole_dump_is_a_clear_failure(tmp_path, content, told):
    with pytest.raises(JobError, match=told):
        restore(tmp_path, content)


def test_a_truncated_archive_is_a_clear_failure(tmp_path, shop):
    content = dump(shop, "--format=custom")
    with pytest.raises(PermanentError, match=r"broken|no dump"):
        restore(tmp_path, content[: len(content) * 2 // 3])


# Into a database --------------------------------------------------------------------------------


@pytest.fixture
def keeper(postgres15):
    """An account that may create databases, and nothing else."""
    name = f"keeper_{uuid4().hex[:8]}"
    postgres15.execute(f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD 'keeper'")
    yield name
    for (made,) in databases(postgres15, name):
        postgres15.dropdb(made)
    postgres15.execute(f"DROP ROLE {name}")


def databases(server, owner: str) -> list[tuple[str]]:
    with server.connect() as connection:
        query = "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s"
        return connection.execute(query, [owner]).fetchall()


def registered(team, server, username: str, password: str) -> Database:
    place = server.server("postgres")
    return Database.objects.create(
        team=team,
        name="target",
        host=place.host,
        port=place.port,
        dbname="postgres",
        username=username,
        password=password,
    )


def asked_by(user, team) -> str:
    return str(queue.push(job="restore_dump", team=team, owner=user).pk)


@pytest.mark.django_db
def test_it_goes_into_a_new_database_where_an_admin_wants_that(
    tmp_path, team, owner, shop, postgres15, keeper
):
    target = registered(team, postgres15, keeper, "keeper")
    dbname = f"into_{uuid4().hex[:8]}"
    task = asked_by(owner, team)
    found = restore(tmp_path, dump(shop), task_id=task, target=target.pk, dbname=dbname)
    assert found["restored_into"] == dbname
    with psycopg.connect(postgres15.dsn(dbname)) as connection:
        assert connection.execute("SELECT count(*) FROM goods").fetchone() == (500,)
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        assert connection.execute(owners).fetchall() == [(keeper,)]
    with pytest.raises(JobError, match="already has a database"):
        restore(tmp_path, dump(shop), task_id=task, target=target.pk, dbname=dbname)


@pytest.mark.django_db
def test_not_by_an_account_that_could_do_harm(tmp_path, team, owner, shop, postgres15):
    target = registered(team, postgres15, "postgres", postgres15.password)
    with pytest.raises(PermanentError, match="could run programs"):
        restore(
            tmp_path, dump(shop), task_id=asked_by(owner, team), target=target.pk, dbname="never"
        )


@pytest.mark.django_db
def test_only_an_admin_of_its_team_may_ask(team, owner, mate, viewer, stranger, postgres15):
    target = registered(team, postgres15, "postgres", "")
    wish = {"target": target.pk, "dbname": "a"}
    foreign_dumps.check(owner, wish)
    for user in (mate, viewer, stranger):
        with pytest.raises(UploadError, match="no such database that you may change"):
            sessions.ask(job="restore_dump", team=team, owner=user, options=wish)
    sessions.ask(job="restore_dump", team=team, owner=mate)


@pytest.mark.django_db
def test_who_lost_the_role_meanwhile_may_not_any_more(tmp_path, team, owner, postgres15):
    target = registered(team, postgres15, "postgres", "")
    task = asked_by(owner, team)
    Membership.objects.filter(user=owner).update(role=Role.OPERATOR)
    with pytest.raises(PermanentError, match="may not change the target any more"):
        restore(tmp_path, b"x", task_id=task, target=target.pk, dbname="never")


@pytest.mark.parametrize("asked", [{"target": 1}, {"dbname": "a"}, {"target": "x", "dbname": "a"}])
def test_options_are_held_to_the_schema(asked):
    assert options.faults(registry.get("restore_dump"), asked)


def test_a_dead_attempt_leaves_nothing(tmp_path):
    server = scratch.ScratchPostgres()
    server.__enter__()
    registry.get("restore_dump").undo({"kind": "scratch", "folder": str(server.folder)})
    assert not server.folder.exists()
    server.remove()
