"""Draining a worker from its page: it finishes what runs, claims nothing more, and ends well."""

from __future__ import annotations

import os
import signal

import pytest

from tasks import totals
from tasks.models import Total, Worker
from tasks.states import Outcome, Status
from tasks.tests.crew import crew, until


@pytest.fixture
def operator(client, mate):
    mate.is_staff = True
    mate.save()
    client.force_login(mate)
    return client


def drain(operator) -> None:
    worker = Worker.objects.get(kind="worker")
    page = operator.get("/workers/").content.decode()
    assert f'formaction="/workers/{worker.pk}/drain"' in page
    assert operator.post(f"/workers/{worker.pk}/drain").status_code == 302
    page = operator.get("/workers/").content.decode()
    assert "Draining" in page
    assert f"/workers/{worker.pk}/drain" not in page


@pytest.mark.alone
def test_it_works(toys, tmp_path, operator):
    with crew(tmp_path, workers=2, SHUTDOWN_GRACE_SECONDS="0") as workers:
        work = toys.push("tick", args={"seconds": 4})
        work.runs()
        drain(operator)
        until(lambda: "Draining" in workers.log.read_text(), what="the watcher has heard of it")
        waiting = toys.push("nothing")
        assert workers.wait() == 0
        assert workers.leaves_nothing(1)
    assert work.outcomes == [Outcome.SUCCEEDED], "whatever the grace is"
    assert waiting.row.status == Status.QUEUED
    assert not Worker.objects.exists()


def test_sigterm_hurries_a_worker_that_drains(toys, tmp_path, operator):
    with crew(tmp_path, workers=1, SHUTDOWN_GRACE_SECONDS="0.5") as workers:
        work = toys.push("tick", args={"seconds": 60})
        work.runs()
        drain(operator)
        until(lambda: "Draining" in workers.log.read_text(), what="the watcher has heard of it")
        workers.process.send_signal(signal.SIGTERM)
        assert workers.wait() == 0
    assert work.outcomes == [Outcome.INTERRUPTED]
    assert work.row.status == Status.QUEUED


def test_an_idle_worker_ends_at_once(toys, tmp_path, operator):
    with crew(tmp_path, workers=1) as workers:
        drain(operator)
        assert workers.wait() == 0


def test_a_replaced_pool_is_counted(toys, tmp_path):
    with crew(tmp_path, workers=2) as workers:
        until(workers.is_steady)
        os.kill(workers.leader, signal.SIGKILL)
        until(lambda: sum(totals.of(totals.POOL).values()) == 1, what="it is counted")
        until(workers.is_steady)
    assert Total.objects.get(what="pool").about == Worker.objects.get().host
