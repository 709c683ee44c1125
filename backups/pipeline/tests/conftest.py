from __future__ import annotations

import os

import pytest

from backups.pipeline.tests import dumps
from tests import servers


@pytest.fixture
def name(postgres15, postgres_new):
    """A database name that is free on both servers, and is so again afterwards."""
    name = f"restored_{os.getpid()}"
    yield name
    for server in (postgres15, postgres_new):
        server.dropdb(name)


@pytest.fixture(scope="module")
def rows(postgres):
    """A database of one table that takes a dozen blocks."""
    with servers.new_database(postgres, dumps.ROWS) as dbname:
        yield postgres.server(dbname)
