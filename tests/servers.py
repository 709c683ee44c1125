"""Real PostgreSQL and MariaDB servers for tests, each in a temporary folder of its own.

They listen on a free port of loopback and want a password. A server is shared by the whole
session: a test makes databases of its own on it (`new_database`) and stops only a server that
it started itself (`postgres_server`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from backups.pipeline.mysql import binaries as mysql_binaries
from backups.pipeline.mysql.load import MysqlClient
from backups.pipeline.mysql.scratch import ScratchMariadb
from backups.pipeline.mysql.sessions import Session
from backups.pipeline.postgres import binaries
from backups.pipeline.postgres.scratch import ScratchPostgres

OLD, NEW = 15, 18


@contextmanager
def postgres_server(major: int, **options) -> Iterator[ScratchPostgres]:
    """A running server of exactly that version."""
    installation = binaries.server_for(major)
    assert installation.major == major, f"PostgreSQL {major} is not installed"
    with ScratchPostgres(installation, listen=True, **options) as server:
        yield server


@contextmanager
def new_database(server: ScratchPostgres, statements: str = "") -> Iterator[str]:
    """An empty database with a name of its own, dropped afterwards; yields the name."""
    dbname = f"test_{uuid.uuid4().hex[:12]}"
    server.createdb(dbname)
    try:
        if statements:
            server.execute(statements, dbname)
        yield dbname
    finally:
        server.dropdb(dbname)


@contextmanager
def mariadb_server(**options) -> Iterator[ScratchMariadb]:
    """A running MariaDB server of whatever version is installed."""
    with ScratchMariadb(listen=True, **options) as server:
        yield server


def run_script(server: ScratchMariadb, dbname: str, script: str) -> None:
    """As the client reads it, `DELIMITER` and all."""
    address = server.server(dbname)
    client = MysqlClient(address, mysql_binaries.client_for("mariadb"), Session(address, after=0))
    with client.start(stall_seconds=60, waiting=None) as load:
        load.run([script.encode()])


@contextmanager
def new_mariadb_database(server: ScratchMariadb, script: str = "") -> Iterator[str]:
    """An empty database with a name of its own, dropped afterwards; yields the name."""
    dbname = f"test_{uuid.uuid4().hex[:12]}"
    server.createdb(dbname)
    try:
        if script:
            run_script(server, dbname, script)
        yield dbname
    finally:
        server.dropdb(dbname)
