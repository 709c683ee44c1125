"""The page for authors of jobs: its examples are run as they stand."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

from tasks import queue
from tasks.bulk import Action
from tasks.models import Task
from tasks.registry import Job
from tasks.states import Outcome, Status, WhenBusy
from tasks.tests.crew import Work, crew

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (settings.BASE_DIR / "docs" / "jobs.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_it_works(team, mate, tmp_path, monkeypatch):
    declared, asked = blocks("python")
    (tmp_path / "shop_jobs.py").write_text(declared)
    monkeypatch.syspath_prepend(tmp_path)
    __import__("shop_jobs")
    names = {"team": team, "user": mate}
    exec(compile(asked, "docs/jobs.md", "exec"), names)  # noqa: S102 (our own page)
    work = Work(names["task"])
    environment = {
        "DJANGO_SETTINGS_MODULE": "backdrop_site.settings",
        "JOB_MODULES": "shop_jobs",
        "PYTHONPATH": str(tmp_path),
    }
    with crew(tmp_path, workers=1, **environment):
        row = work.ends()
    assert (row.status, row.result) == (Status.SUCCEEDED, {"things": 36})
    assert work.outcomes == [Outcome.FAILED, Outcome.SUCCEEDED]
    assert "The door is locked. Ask for the key." in work.history[2]
    assert "Counted by attempt 2" in work.history
    assert (row.priority, row.concurrency_key, row.when_busy) == (5, "stock", WhenBusy.SKIP)


def test_every_option_it_names_is_one():
    options = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.M))))
    assert options >= {"backoff", "concurrency_key", "total_seconds"}
    assert options <= set(queue.push.__kwdefaults__)
    assert options - {"priority", "run_at", "queue"} >= {
        name for name in Job.__dataclass_fields__ if name.endswith("_seconds")
    }


def test_its_request_for_bulk_work_is_taken(api, mate, team):
    (body,) = blocks("json")
    answer = api(mate).post("/api/tasks/bulk/", body, content_type="application/json")
    assert answer.status_code == 202
    assert Task.objects.get().args["action"] == Action.RETRY
