"""One line for people about how a task stands, from what `tasks.live.report` tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOUNS = {"backup": "backup", "restore": "restore", "drill": "drill"}


def line(standing: Mapping[str, Any]) -> str:
    noun = NOUNS.get(standing["job"], standing["job"])
    match standing["status"]:
        case "succeeded":
            return f"{noun} completed"
        case "failed":
            return f"{noun} failed: {standing['error'] or 'no reason is known'}"
        case "cancelled":
            return f"{noun} cancelled"
        case "running":
            return _running(standing)
        case _:
            return _waiting(standing)


def _waiting(standing: Mapping[str, Any]) -> str:
    place = standing["queue_position"]
    again = f", attempt {standing['attempt'] + 1}" if standing["attempt"] else ""
    error = f" ({standing['error']})" if standing["error"] else ""
    held = f": {standing['message']}" if standing["message"] else ""
    return f"waiting{f', place {place} in the queue' if place else ''}{again}{error}{held}"


def _running(standing: Mapping[str, Any]) -> str:
    parts = [standing["message"] or "running"]
    progress = standing["progress"]
    if progress["done"]:
        parts.append(_amount(progress))
    if progress["rate"]:
        parts.append(f"{_of(progress['rate'], progress['unit'])}/s")
    return ", ".join(parts)


def _amount(progress: Mapping[str, Any]) -> str:
    done = _of(progress["done"], progress["unit"])
    if progress["total"] is None or progress["percent"] is None:
        return done
    return f"{done} of {_of(progress['total'], progress['unit'])} ({progress['percent']:.0f} %)"


def _of(amount: float, unit: str) -> str:
    return size(amount) if unit == "bytes" else f"{amount:,.0f} {unit}"


def size(amount: float) -> str:
    """`12.3 MB`, in powers of ten."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(amount) < 1000:
            return f"{amount:.0f} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
