from __future__ import annotations

import os

import pytest


@pytest.fixture
def name(postgres15, postgres_new):
    """A database name that is free on both servers, and is so again afterwards."""
    name = f"restored_{os.getpid()}"
    yield name
    for server in (postgres15, postgres_new):
        server.dropdb(name)
