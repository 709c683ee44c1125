"""How much memory a process may take, so that a job that asks for too much fails by itself and the
kernel needn't choose whom to kill."""

from __future__ import annotations

import resource
from pathlib import Path

_DATA = "VmData:"


def limit(more: int) -> None:
    """Let this process, and each that it starts, have that many bytes beyond what it has now.

    What counts is memory it may write to (RLIMIT_DATA). The address space (RLIMIT_AS) would be no
    measure: libraries reserve several times what they use, and some die where they get less.
    """
    most = _held() + more
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _held() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(_DATA):
            return int(line.split()[1]) * 1024
    return 0
