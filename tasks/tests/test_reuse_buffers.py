"""A process that reads much keeps the memory of its buffers for the next ones."""

from __future__ import annotations

import subprocess
import sys

READS = """
import resource, sys
from tasks import memory

if "reuse" in sys.argv:
    memory.reuse_buffers()


def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        bytearray(256 << 10), bytearray(256 << 10)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


faults(2)
print(faults(200))
"""


def faults_of(*arguments: str) -> int:
    command = [sys.executable, "-c", READS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_buffers_cost_no_new_pages():
    assert faults_of("reuse") < 100
    assert faults_of() > 10 * faults_of("reuse")
