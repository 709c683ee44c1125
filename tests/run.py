"""Runs all tests, in the order and company that suits them.

    python tests/run.py [pytest arguments]

With arguments it is plain pytest. Without, three stages: files that bear company three at a time
(they wait more than they work: 3 keep two cores busy); then those that measure time or fill the
machine, one after another; then what depends on Backdrop's own database once more, on PostgreSQL.
All are run whatever fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTEST = [sys.executable, "-m", "pytest"]
TOGETHER = ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"]
"""File by file, in the order of `conftest.py`."""

STAGES = {
    "in company": [*PYTEST, "-m", "not alone", *TOGETHER],
    "alone": [*PYTEST, "-m", "alone"],
    "on PostgreSQL": [sys.executable, "tests/run_on_postgres.py"],
}


def main(arguments: list[str]) -> int:
    # Tests start hundreds of processes, and each would compile all that it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if arguments:
        return subprocess.run([*PYTEST, *arguments], cwd=ROOT).returncode
    failed = [name for name, command in STAGES.items() if not _passes(name, command)]
    if failed:
        print(f"Tests failed: {', '.join(failed)}.")  # noqa: T201
    return bool(failed)


def _passes(name: str, command: list[str]) -> bool:
    begun = time.monotonic()
    status = subprocess.run(command, cwd=ROOT).returncode
    print(f"Tests {name}: status {status}, {time.monotonic() - begun:.0f} s", flush=True)  # noqa: T201
    return status == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
