"""Jobs that may take only so much memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tasks import registry
from tasks.registry import Job
from tasks.states import Outcome, Status

TAKES = """
import os, sys
from tasks import memory

memory.limit(64 << 20)
taken = bytearray(32 << 20)
if os.fork() == 0:
    try:
        bytearray(128 << 20)
    except MemoryError:
        os._exit(7)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_it_works(shared_workers, toys):
    """It fails with a sentence, at the first try: it would run out of memory again."""
    work = toys.push("swallow", max_attempts=3)
    row = work.ends()
    assert (row.status, row.tries) == (Status.FAILED, 1)
    assert "ran out of memory" in row.error
    assert work.outcomes == [Outcome.FAILED]
    assert 64 < row.progress_done < 160


def test_programs_that_it_starts_are_limited_too():
    done = subprocess.run([sys.executable, "-c", TAKES], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_a_shared_process_can_not_be_limited_for_one_job():
    with pytest.raises(ValueError, match="shared process"):
        registry.register(
            Job(name="odd", run=lambda context: None, title="", memory_bytes=1, isolated=False)
        )
