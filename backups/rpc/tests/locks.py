"""A dump that begins and gets no further than a lock of somebody else's, for as long as a test
wants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backups.pipeline.postgres.scratch import ScratchPostgres
from tasks.tests.crew import until


@contextmanager
def held_up(server: ScratchPostgres, dbname: str) -> Iterator[None]:
    """A dump of that database, which `yard.SHOP` has filled, waits while this lasts."""
    with server.connect(dbname) as connection, connection.transaction():
        connection.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        yield


def wait_for_dump(server: ScratchPostgres, dbname: str) -> None:
    """Until one waits."""
    until(lambda: _waits(server, dbname), what="the dump runs")


def _waits(server: ScratchPostgres, dbname: str) -> bool:
    with server.connect() as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_stat_activity"
            " WHERE datname = %s AND query LIKE 'LOCK TABLE%%' AND wait_event_type = 'Lock'",
            [dbname],
        )
        return found.fetchone() is not None
