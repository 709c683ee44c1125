"""The jobs on files in real workers: sent by HTTP, run under their limits, fetched."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from backups.tests.yard import REAL
from tasks.models import Task
from tasks.tests.crew import Crew, Work, crew
from tasks.uploads.tests.conftest import Service

pytestmark = pytest.mark.django_db(transaction=True)

DUMP = b"""--
-- PostgreSQL database dump
--

-- Dumped from database version 15.3
-- Dumped by pg_dump version 15.3

CREATE TABLE t AS SELECT 1 AS a;
--
-- PostgreSQL database dump complete
--

"""


@pytest.fixture(scope="module")
def workers(web, django_db_blocker) -> Iterator[Crew]:
    """They keep files where the web process does."""
    folder = web.log.parent
    with django_db_blocker.unblock(), crew(folder, workers=1, **REAL) as running:
        yield running


def run(service: Service, job: str, content: bytes, filename: str, **options) -> Task:
    url = service.url(job, filename=filename, options=options, max_attempts=1)
    assert httpx.post(url, content=content).status_code == 202
    return Work(service.upload_at(url).task).ends(60)


def test_it_works(service, workers):
    table = b"a,b\n" + b"".join(b"%d,word\n" % number for number in range(50_000))
    row = run(service, "profile", table, "a.csv")
    assert row.status == "succeeded", row.error
    assert row.result["rows"] == 50_000
    assert (row.progress_done, row.progress_total) == (2 * len(table), 2 * len(table))


def test_a_table_is_converted_and_fetched(service, workers):
    row = run(service, "convert", b"a,b\n1,x\n", "a.csv", to="jsonl")
    assert row.status == "succeeded", row.error
    answer = service.http.get(f"/task/result/{row.pk}")
    assert answer.text == '{"a":1,"b":"x"}\n'
    assert "a.jsonl" in answer.headers["Content-Disposition"]


def test_a_dump_is_tried(service, workers):
    row = run(service, "restore_dump", DUMP, "a.sql")
    assert row.status == "succeeded", row.error
    assert row.result["tables"][0]["rows"] == 1


def test_a_hostile_file_is_told(service, workers):
    row = run(service, "profile", b"x" * (2 << 20), "a.csv")
    assert row.status == "failed"
    assert "longer than" in row.error
