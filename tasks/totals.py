"""Counting what happens, so that the figures survive the rows."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import F

from tasks.models import Total

ATTEMPT = "attempt"  # about its job, how it ended; those that succeeded are counted as tasks
POOL = "pool"  # about the host whose watcher replaced it


def add(what: str, about: str = "", how: str = "", *, count: int = 1) -> None:
    """Count it, in the caller's transaction, where there is one; late in it, for the row's lock is
    held until its end."""
    same = Total.objects.filter(what=what, about=about, how=how)
    if not same.update(count=F("count") + count):
        # Whoever makes the row, it is there afterwards.
        Total.objects.bulk_create([Total(what=what, about=about, how=how)], ignore_conflicts=True)
        same.update(count=F("count") + count)


def of(what: str) -> Mapping[tuple[str, ...], float]:
    """(about, how) -> how often."""
    rows = Total.objects.filter(what=what).values_list("about", "how", "count")
    return {(about, how): count for about, how, count in rows}
