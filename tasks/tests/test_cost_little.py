"""An idle platform leaves its PostgreSQL in peace: counted by the server itself."""

from __future__ import annotations

import time

import pytest
from django.db import connection

from tasks.tests.crew import crew, daemon, until

SECONDS = 20.0
SETTLE_SECONDS = 11.0  # an idle session tells its counts ten seconds late
MOST = 3.0  # transactions a second

pytestmark = pytest.mark.django_db(transaction=True)


def transactions() -> int:
    """How many this database has seen, those of the test included."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database"
            " WHERE datname = current_database()"
        )
        return cursor.fetchone()[0]


def rate(seconds: float = SECONDS) -> float:
    """Transactions a second from now on; those of the start have been counted by then."""
    time.sleep(SETTLE_SECONDS)
    before, begun = transactions(), time.monotonic()
    time.sleep(seconds)
    return round((transactions() - before) / (time.monotonic() - begun), 2)


def is_counted() -> bool:
    """Only a server counts; on SQLite nobody waits for anybody to look."""
    return connection.vendor == "postgresql"


def test_it_works():
    if is_counted():
        before = transactions()
        for _ in range(40):
            connection.cursor().execute("SELECT 1")
        until(lambda: transactions() - before >= 40, 5, "the server counts")


def test_an_idle_cluster_of_workers_costs_next_to_nothing(tmp_path):
    if is_counted():
        with crew(tmp_path, workers=3) as workers:
            until(workers.is_steady)
            told = rate()
        assert told <= MOST, "transactions a second"


def test_an_idle_daemon_costs_next_to_nothing(tmp_path):
    if is_counted():
        with daemon(tmp_path):
            told = rate()
        assert told <= MOST, "transactions a second"
