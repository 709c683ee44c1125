"""Benchmarks are run by hand: that each can still be loaded is seen here."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks

ROOT = Path(benchmarks.__file__).parent.parent
# These run in an environment of their own, with the packages of the engines they measure.
PEERS = (
    "with_celery",
    "with_procrastinate",
    "with_rq",
    "with_django_q2",
    "plain_settings",
    "uploads.plain",
)
NAMES = sorted(
    module.name
    for module in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")
    if not module.name.endswith((*PEERS, ".our_jobs"))
)


@pytest.mark.parametrize("name", NAMES)
def test_it_works(name):
    command = [sys.executable, "-W", "error", "-c", f"import {name}"]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
