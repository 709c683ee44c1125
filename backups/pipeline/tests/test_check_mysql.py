from __future__ import annotations

import dataclasses
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from backups.pipeline.errors import SourceError
from backups.pipeline.mysql import MysqlServer, MysqlSource, binaries, catalogue
from tests import servers


@pytest.fixture
def user(mariadb, mariadb_database):
    """user(grants, …): an account with nothing but these; its way to the database."""

    def make(*grants: str) -> MysqlServer:
        with mariadb.connect() as connected:
            catalogue.query(connected, "CREATE OR REPLACE USER narrow IDENTIFIED BY 'secret'")
            for grant in grants:
                statement = f"GRANT {grant.format(db=f'`{mariadb_database.dbname}`')} TO narrow"
                catalogue.query(connected, statement)
        return dataclasses.replace(mariadb_database, user="narrow", password="secret")

    yield make
    with mariadb.connect() as connected:
        catalogue.query(connected, "DROP USER IF EXISTS narrow")


def refused(server: MysqlServer, sentence: str) -> SourceError:
    with pytest.raises(SourceError, match=sentence) as raised:
        MysqlSource(server).check()
    assert raised.value.remedy
    return raised.value


@pytest.mark.parametrize(
    "grants",
    [
        ("ALL ON {db}.*",),
        ("ALL ON *.*",),
        ("SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON {db}.*",),
        ("SELECT, SHOW VIEW, TRIGGER, EVENT ON `test\\_%`.*", "SELECT ON mysql.proc"),
    ],
)
def test_it_works(user, grants):
    assert MysqlSource(user(*grants)).check().engine == "mysql"


def test_a_role_is_counted(mariadb, user):
    with mariadb.connect() as connected:
        catalogue.query(connected, "CREATE OR REPLACE ROLE keeper")
        catalogue.query(connected, "GRANT ALL ON *.* TO keeper")
        server = user("keeper")
        catalogue.query(connected, "SET DEFAULT ROLE keeper FOR narrow")
    MysqlSource(server).check()
    with mariadb.connect() as connected:
        catalogue.query(connected, "DROP ROLE keeper")


@pytest.mark.parametrize(
    ("grants", "missing", "remedy"),
    [
        (("SELECT ON {db}.*",), "SHOW VIEW, TRIGGER, EVENT, SELECT ON mysql.proc", "SHOW VIEW"),
        (("SELECT, SHOW VIEW, EVENT, EXECUTE ON {db}.*",), "TRIGGER", "GRANT TRIGGER ON `test_"),
        (("SELECT, SHOW VIEW, TRIGGER, EVENT ON {db}.*",), "SELECT ON mysql.proc", "mysql.proc"),
    ],
)
def test_what_would_be_left_out_of_a_dump_is_refused(user, grants, missing, remedy):
    error = refused(user(*grants), f"may not see all of test_.*: it lacks {missing}")
    assert error.permanent
    assert remedy in error.remedy


def test_a_grant_on_one_table_is_not_enough(mariadb, mariadb_database, user):
    servers.run_script(mariadb, mariadb_database.dbname, "CREATE TABLE t (a int)")
    refused(user("ALL ON {db}.t"), "it lacks SELECT, SHOW VIEW")


def test_a_database_that_is_hidden_from_the_user_is_told(user):
    assert refused(user(), "may not use database test_").permanent


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(MysqlServer.connect, "__kwdefaults__", {"answer_seconds": 0.5})


def test_a_silent_server_is_given_up(impatient):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = MysqlServer(host="127.0.0.1", port=port, dbname="d", user="u", password="p")
        error = refused(server, f"127.0.0.1:{port} does not answer")
    assert not error.permanent


def test_a_server_of_another_kind_waits_for_us_in_silence(postgres15, impatient):
    address = MysqlServer(host="127.0.0.1", port=postgres15.port, dbname="d", user="u")
    refused(address, "does not answer")


def test_a_machine_without_a_client_names_the_package(mariadb_database, monkeypatch):
    monkeypatch.setattr(binaries, "clients", lambda: ())
    with pytest.raises(binaries.BinariesError, match="No client of MariaDB") as raised:
        MysqlSource(mariadb_database).check()
    assert "apt install mariadb-client" in raised.value.remedy


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)",
            ("mariadb", (10, 11, 19)),
        ),
        (
            "mariadb-dump from 11.4.2-MariaDB, client 10.19 for debian-linux-gnu (x86_64)",
            ("mariadb", (11, 4, 2)),
        ),
        ("mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community)", ("mysql", (8, 0, 36))),
        ("mysqldump  Ver 8.0.36-0ubuntu0.22.04.1 for Linux on x86_64", ("mysql", (8, 0, 36))),
        ("mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)", ("mysql", (5, 7, 44))),
        ("mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian", ("mariadb", (10, 11, 19))),
        ("something else", None),
    ],
)
def test_versions_are_read_from_what_programs_say(said, expected):
    assert binaries.parsed(said) == expected


def test_each_server_gets_a_client_of_its_own_flavour(monkeypatch):
    found = binaries.client_for("mariadb")
    ours = dataclasses.replace(found, flavour="mysql", version=(8, 0, 36), dump="/x/mysqldump")
    monkeypatch.setattr(binaries, "clients", lambda: (found, ours))
    assert binaries.client_for("mysql") is ours
    assert binaries.client_for("mariadb") is found
    monkeypatch.setattr(binaries, "clients", lambda: (found,))
    assert binaries.client_for("mysql") is found


def test_a_scratch_server_older_than_the_source_is_refused():
    with pytest.raises(binaries.BinariesError, match=r"version 99\.1 or later.*there is 10\."):
        binaries.server_for("mariadb", (99, 1, 0))
    with pytest.raises(binaries.BinariesError, match="MySQL can't be tried here"):
        binaries.server_for("mysql", (8, 0, 0))


@pytest.mark.parametrize(
    ("sslmode", "sentence"),
    [
        ("require", "has no TLS, but the TLS mode requires it"),
        ("verify-full", "has no TLS, but the TLS mode requires it"),
    ],
)
def test_a_server_without_tls_is_refused_where_it_is_required(mariadb_database, sslmode, sentence):
    refused(dataclasses.replace(mariadb_database, sslmode=sslmode), sentence)


@pytest.mark.parametrize("sslmode", ["", "disable", "prefer"])
def test_a_server_without_tls_is_read_otherwise(mariadb_database, sslmode):
    with MysqlSource(dataclasses.replace(mariadb_database, sslmode=sslmode)).open() as dump:
        assert b"-- MariaDB dump" in b"".join(map(bytes, dump))


@pytest.fixture(scope="module")
def encrypted():
    """A server with a certificate for localhost, and the path of that."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # the server runs as somebody else
        yield from _encrypted(Path(folder))


def _encrypted(folder):
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    key.chmod(0o644)
    settings = {"ssl-key": str(key), "ssl-cert": str(certificate), "ssl-ca": str(certificate)}
    with servers.mariadb_server(settings={**settings, "require-secure-transport": "1"}) as server:
        server.createdb("shop")
        yield server, certificate


@pytest.mark.parametrize("sslmode", ["", "prefer", "require"])
def test_tls_is_used_where_the_server_has_it(encrypted, sslmode):
    server, _ = encrypted
    address = dataclasses.replace(server.server("shop"), sslmode=sslmode)
    with MysqlSource(address).open() as dump:
        assert b"-- MariaDB dump" in b"".join(map(bytes, dump))


def test_a_certificate_is_verified_where_that_is_asked_for(encrypted, monkeypatch, tmp_path):
    server, certificate = encrypted
    monkeypatch.setenv("HOME", str(tmp_path))
    address = dataclasses.replace(server.server("shop"), host="localhost", sslmode="verify-full")
    assert refused(address, "certificate at localhost:.* was not accepted").permanent
    (tmp_path / ".mysql").mkdir()
    (tmp_path / ".mysql" / "root.crt").write_bytes(certificate.read_bytes())
    with MysqlSource(address).open() as dump:
        assert b"-- MariaDB dump" in b"".join(map(bytes, dump))
    refused(dataclasses.replace(address, host="127.0.0.1"), "certificate")


def test_a_server_that_wants_tls_says_so(encrypted):
    server, _ = encrypted
    address = dataclasses.replace(server.server("shop"), sslmode="disable")
    assert "wants TLS" in refused(address, "refused user|encrypted connections only").remedy
