"""A scrape reads none of the tables that grow with the work done from end to end: by the plans of
its queries, in SQLite. How long one takes is told by `python -m benchmarks.metrics`."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client.exposition import generate_latest

from backups.models import Schedule
from backups.tests.test_tell_metrics import planned, run
from tasks import metrics
from tasks.states import Outcome

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="others tell their plans otherwise"),
]

GROWING = {"tasks_task", "tasks_attempt", "tasks_event", "backups_backup", "backups_firing"}
STEP = re.compile(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?$")


def of_few() -> set[str]:
    """Indexes that leave out most rows: those that hold what waits or runs, say."""
    indexes = [index for model in apps.get_models() for index in model._meta.indexes]
    return {index.name for index in indexes if index.condition is not None}


def read_whole(queries) -> set[str]:
    """The tables that those queries read from one end to the other."""
    found, few = set(), of_few()
    with connection.cursor() as cursor:
        for query in queries:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            steps = [STEP.match(step) for *_, step in cursor.fetchall()]
            found |= {step[1] for step in steps if step and step[2] not in few}
    return found


def test_it_works(team):
    plan = planned(team)
    run(plan, Outcome.SUCCEEDED)
    Schedule.objects.create(team=team, plan=plan, cron="@daily")
    registry = metrics.new_registry()
    with CaptureQueriesContext(connection) as asked:
        generate_latest(registry)
    found = read_whole(query for query in asked if query["sql"].startswith("SELECT"))
    assert "tasks_tally" in found  # which has a row for each kind of end, and not for each end
    assert not found & GROWING


def test_a_query_that_reads_all_tasks_would_be_seen():
    assert read_whole([{"sql": "SELECT job, COUNT(*) FROM tasks_task GROUP BY job"}]) & GROWING
