"""What the demo prints: steps, live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

PLAIN_SECONDS = 1.0
"""Between two lines of progress where there is no terminal to draw on."""


class Screen:
    """Where the demo tells its story."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)

    def say(self, text: str = "") -> None:
        self.console.print(text, markup=False)

    def fail(self, text: str) -> None:
        self.console.print(f"✗ {text}", style="bold red", markup=False)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Says what begins, and how long it took when it has gone well."""
        began = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(text):
                yield
        else:
            self.say(f"… {text}")
            yield
        self.say(f"✓ {text} ({time.monotonic() - began:.1f} s)")

    def follow(self, title: str, statuses: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Show the progress of a task until it has ended; returns its last status."""
        self.say(f"… {title}")
        return self._draw(statuses) if self.console.is_terminal else self._list(statuses)

    def table(self, rows: Mapping[str, str]) -> None:
        grid = Table.grid(padding=(0, 2))
        for name, value in rows.items():
            grid.add_row(f"  {name}", value)
        self.console.print(grid, markup=False)

    def _draw(self, statuses: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bars:
            bar = bars.add_task("Waiting", total=None)
            last: Mapping[str, Any] = {}
            for last in statuses:
                progress = last["progress"]
                said = last["message"] or last["status"].capitalize()
                bars.update(
                    bar, description=said, completed=progress["done"], total=progress["total"]
                )
        return last

    def _list(self, statuses: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
        told = time.monotonic()
        last: Mapping[str, Any] = {}
        for last in statuses:
            if time.monotonic() - told >= PLAIN_SECONDS:
                told = time.monotonic()
                self.say(f"    {figures(last)}")
        return last


def figures(status: Mapping[str, Any]) -> str:
    """`Dumping: 120.4 MB, 31 %, 98.2 MB/s`"""
    progress = status["progress"]
    parts = [size(progress["done"])]
    if progress["percent"] is not None:
        parts.append(f"{progress['percent']:.0f} %")
    if progress["rate"]:
        parts.append(f"{size(progress['rate'])}/s")
    return f"{status['message'] or status['status']}: {', '.join(parts)}"


def size(count: float) -> str:
    """Bytes as people read them: 400.6 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError
