"""A short form of the chaos suite, with other faults in another order each time. A failure shows
the seed: `python -m tests.chaos --db … --seed …` brings the same faults again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SHORT = ("--seconds", "12", "--tasks", "100", "--cancels", "1", "--lease", "3", "--patience", "3")


def chaos(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.chaos", *SHORT, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170)
    sys.stdout.write(done.stdout + done.stderr)  # shown where it fails
    return done


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_it_works(db):
    done = chaos("--db", db)
    assert done.returncode == 0
    assert "all held" in done.stdout


def test_a_machine_that_is_cut_off_is_rescued_by_the_other_and_changes_nothing_later():
    """Over a cable between two network namespaces, or a proxy where there can't be one."""
    assert chaos("--db", "postgres", "--only", "machine cut off").returncode == 0
