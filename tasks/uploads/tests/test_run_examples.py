"""The programs in docs/files.md, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.conf import settings

from tasks.models import Task, Upload
from tasks.tests.crew import crew
from tests.web import token_of

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (settings.BASE_DIR / "docs" / "files.md").read_text()
ORDERS = "city,sold\nRome,3\nOslo,5\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def workers(web) -> Iterator[None]:
    with crew(web.log.parent, workers=1):
        yield


@pytest.fixture
def run(web, owner, tmp_path):
    (tmp_path / "orders.csv").write_text(ORDERS)

    def go(*command: str, program: str) -> str:
        done = subprocess.run(
            command,
            input=program,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "BACKDROP": web.url, "TOKEN": str(token_of(owner))},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return go


def test_it_works(run, workers, tmp_path):
    """curl and fetch, to the result."""
    run("bash", "-euo", "pipefail", program="\n".join(blocks("sh")))
    unpacked = subprocess.run(
        ["gunzip", "-c", tmp_path / "orders.csv.gz"], capture_output=True, text=True, check=True
    )
    assert unpacked.stdout == ORDERS
    assert '"artifacts"' in (tmp_path / "result.json").read_text()
    assert Upload.objects.filter(completed_at__isnull=False).count() == 2

    [program] = blocks("javascript")
    assert "hello.txt" in run("node", "--input-type=module", "-", program=program)


def test_tuspy(run):
    [program] = blocks("python")
    assert "/task/upload/" in run(sys.executable, "-", program=program)
    upload = Upload.objects.get()
    assert (upload.filename, upload.size, upload.complete) == ("orders.csv", len(ORDERS), True)
    assert Task.objects.get().job == "inspect"
