"""Real PostgreSQL servers for tests, each in a temporary folder of its own.

They listen on a free port of loopback and want a password. A server is shared by the whole
session: a test makes databases of its own on it (`new_database`) and stops only a server that
it started itself (`postgres_server`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

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
