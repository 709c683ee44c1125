"""The two jobs that every contender runs. Standard library only: the peers have no Backdrop."""

from __future__ import annotations

import os
import time


def nothing() -> None:
    """What is measured is all that surrounds it."""


def stamp(path: str) -> None:
    """Write down when it started."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(file, f"{time.time()}\n".encode())
    os.close(file)
