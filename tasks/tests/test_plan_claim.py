"""The claim finds the best due task by its index, however many have ended."""

from __future__ import annotations

import time

import pytest
from django.db import connection

from benchmarks import claim
from tasks import queue
from tasks.models import Task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def many(team) -> None:
    claim.fill(team, 20_000, 1_000)


@pytest.mark.usefixtures("many")
@pytest.mark.alone
def test_it_works():
    begun = time.monotonic()
    task = queue.claim(["default"], "me")
    assert time.monotonic() - begun < 1
    assert task.priority == 6
    assert task.run_at == min(
        Task.objects.filter(priority=6, queue="default").values_list("run_at", flat=True)
    )


@pytest.mark.usefixtures("many")
def test_the_index_serves_the_order_too_so_that_nothing_is_sorted():
    plan = claim.plan(["default"])
    assert "tasks_task_due" in plan
    assert "Seq Scan on tasks_task" not in plan
    assert "SCAN tasks_task" not in plan
    tree = plan.partition("SubPlan")[0]  # a turn's keys are counted there, among a few rows
    assert "Sort" not in tree
    assert "TEMP B-TREE FOR ORDER BY" not in plan


@pytest.mark.usefixtures("many")
def test_a_look_at_what_is_late_reads_no_ended_task():
    from tasks import reaper

    for duty in reaper.DUTIES.values():
        plan = duty.late(0.0)[:1].explain()
        assert "Seq Scan on tasks_task" not in plan, plan
        assert not ("SCAN tasks_task" in plan and "INDEX" not in plan), plan
        assert connection.vendor in ("sqlite", "postgresql")
