"""How pages write sizes, durations, ages and trends; live.js writes the same in the browser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

if TYPE_CHECKING:
    from backups.models import Backup
    from tasks.models import Attempt, Task

register = template.Library()

NOTHING = "—"
_SPANS: tuple[tuple[str, int, str, int, float], ...] = (
    ("min", 60, "s", 1, 3600),
    ("h", 3600, "min", 60, 86400),
    ("d", 86400, "h", 3600, float("inf")),
)
_UNITS = ("KB", "MB", "GB", "TB", "PB")


@register.filter
def size(count: float | None) -> str:
    """`12.4 MB`, in steps of 1,024 like Django's filesizeformat; a dash where it is not known."""
    if count is None:
        return NOTHING
    if count < 1024:
        return f"{round(count)} bytes"
    power = next((n for n in range(1, 5) if count < 1024 ** (n + 1)), 5)
    return f"{count / 1024**power:.1f} {_UNITS[power - 1]}"


@register.filter
def exact(count: int | None) -> str:
    """`12,431,882 bytes`."""
    return NOTHING if count is None else f"{count:,} bytes"


@register.filter
def amount(count: float | None, unit: str) -> str:
    """A count in the task's own unit: bytes as a size, anything else as a number and its name."""
    if count is None:
        return NOTHING
    return size(count) if unit == "bytes" else f"{count:,.0f} {unit}"


@register.filter
def duration(seconds: float | None) -> str:
    """`0.8 s`, `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None:
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    large, step, small, below = next(span[:4] for span in _SPANS if whole < span[4])
    rest = whole % step // below
    return f"{whole // step} {large} {rest} {small}" if rest else f"{whole // step} {large}"


@register.filter
def remaining(seconds: float | None) -> str:
    """An estimate in whole units, rounded up: `42 s`, `3 min 20 s`; empty where there is none."""
    if seconds is None:
        return ""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@register.filter
def took(work: Task | Attempt) -> float | None:
    """Seconds from its start to its end."""
    if work.started_at is None or work.finished_at is None:
        return None
    return max(0.0, (work.finished_at - work.started_at).total_seconds())


@register.filter
def speed(backup: Backup) -> str:
    """`84.1 MB/s` read from the database."""
    if not backup.raw_bytes or not backup.duration_seconds:
        return NOTHING
    return f"{size(backup.raw_bytes / backup.duration_seconds)}/s"


@register.filter
def rows(backup: Backup) -> str:
    """The rows of all its tables."""
    return grouped(sum(table.get("rows") or 0 for table in backup.tables.values()))


@register.filter
def grouped(number: int | None) -> str:
    """`1,234,567`."""
    return NOTHING if number is None else f"{number:,}"


@register.filter
def whole(number: float) -> int:
    """Rounded down, so that nothing reads as done before it is."""
    return math.floor(number)


@register.filter
def later(task: Task) -> bool:
    """Whether it is to run at a moment that has not come yet."""
    return task.run_at > timezone.now()


@register.filter
def ratio(raw: int | None, stored: int | None) -> str:
    """How many times smaller the stored bytes are: `3.1 : 1`."""
    return f"{raw / stored:.1f} : 1" if raw and stored else NOTHING


@register.simple_tag
def age(moment: datetime | None) -> SafeString | str:
    """`3 h ago`, with the moment itself (UTC) in the title and for programs."""
    if moment is None:
        return NOTHING
    moment = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        moment.strftime("%-d %B %Y, %H:%M:%S UTC"),
        since(moment),
    )


def since(moment: datetime) -> str:
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 0:
        return f"in {_roughly(-seconds)}"
    return "just now" if seconds < 10 else f"{_roughly(seconds)} ago"


@register.filter
def spark(values: Sequence[float]) -> dict[str, str]:
    """Points of a line through `values` in a box of 100 by 30, oldest first, zero at the bottom."""
    top = max(values, default=0) or 1
    across = 100 / max(1, len(values) - 1)
    points = [(round(i * across, 2), round(29 - 27 * v / top, 2)) for i, v in enumerate(values)]
    line = " ".join(f"{x},{y}" for x, y in points)
    last = points[-1] if points else (0, 29)
    return {"line": line, "area": f"0,30 {line} {last[0]},30", "x": str(last[0]), "y": str(last[1])}


def _roughly(seconds: float) -> str:
    if seconds < 60:
        return f"{int(seconds)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 2 * 86400:
        return f"{int(seconds // 3600)} h"
    return f"{int(seconds // 86400)} days"
