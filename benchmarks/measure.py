"""Runs a command and measures it: wall and CPU seconds, and memory of its whole process tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

LONGEST_SECONDS = 1800
SAMPLE_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One run. `memory` is the peak of the tree's summed resident memory, in bytes."""

    wall: float
    cpu: float
    memory: int


def run(command: Sequence[str], env: Mapping[str, str]) -> Figures:
    """Run to the end; raises RuntimeError with its last words unless it exits 0."""
    began = time.monotonic()
    process = subprocess.Popen(
        list(command),
        env=dict(env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    watch = _Memory(process.pid)
    watch.start()
    words: list[bytes] = []
    reader = threading.Thread(target=lambda: words.append(process.stderr.read()), daemon=True)
    reader.start()
    bell = threading.Timer(LONGEST_SECONDS, lambda: os.killpg(process.pid, signal.SIGKILL))
    bell.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        bell.cancel()
    wall = time.monotonic() - began
    watch.stop()
    reader.join()
    if process.returncode:
        text = b"".join(words).decode(errors="replace")[-2000:]
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {text}")
    return Figures(wall=wall, cpu=usage.ru_utime + usage.ru_stime, memory=watch.peak)


class _Memory(threading.Thread):
    """Samples the resident memory of a process and all that it started."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._root = psutil.Process(pid)
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, self._sample())

    def _sample(self) -> int:
        total = 0
        try:
            for process in [self._root, *self._root.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
        except psutil.Error:
            return 0
        return total

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def python(*args: str) -> list[str]:
    return [sys.executable, *args]
