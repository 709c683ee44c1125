"""`python -m benchmarks.metrics`, with few tasks: that it measures, not how fast anything is."""

from __future__ import annotations

import pytest

from backups.models import Backup, Proof
from benchmarks import metrics
from tasks.models import Task
from tasks.tests.test_tell_metrics import scraped


@pytest.mark.django_db
def test_it_works():
    metrics.fill(600)
    samples = scraped()
    told = {name: 0.0 for name, _ in samples}
    for (name, _), number in samples.items():
        told[name] += number
    assert told["task_total"] == Task.objects.count() == 600
    ended = told["backup_success_total"] + told["backup_failure_total"]
    assert ended == Backup.objects.count() == 120
    assert Proof.objects.count() == 30
    assert told["backup_duration_seconds_count"] == told["backup_success_total"] > 100
    assert ("backup_size_bytes", (("database", "db1"),)) in samples
    assert metrics.queries() <= 20


@pytest.mark.django_db(transaction=True)
def test_it_scrapes_what_the_daemon_serves():
    metrics.fill(20)
    seconds, size = metrics.scrape(2)
    assert len(seconds) == 2
    assert size > 10_000
