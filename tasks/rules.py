"""What follows from the end of an attempt: where its task goes, when it is tried again, and when
it is not, whatever tries are left: quarantine, and time that has run out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings

from tasks import clock, registry
from tasks.models import Task
from tasks.retries import Backoff, bounded
from tasks.states import Outcome, Status

KILLED = frozenset({Outcome.CRASHED, Outcome.LOST})
"""The attempt went with its process, or with the worker that minded it."""

BACK = "It goes back to the queue."


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Where a task goes, what changes in its row, and what its history adds."""

    to: Status
    changes: dict[str, Any] = field(default_factory=dict)
    remark: str = ""


def rule(
    row: Task,
    outcome: Outcome,
    *,
    error: str = "",
    result: Any = None,
    permanent: bool = False,
    retry_after: Any = None,
    blameless: bool = False,
) -> Ruling:
    """`row` is the task in its attempt; `blameless` says that its end was no doing of the task."""
    if outcome == Outcome.SUCCEEDED:
        return Ruling(to=Status.SUCCEEDED, changes={"result": result, "error": "", "crashes": 0})
    if outcome == Outcome.CANCELLED or row.cancel_requested_at is not None:
        return Ruling(to=Status.CANCELLED, changes={"error": ""})
    if outcome == Outcome.INTERRUPTED:  # a shutdown is no try
        later = bounded(retry_after) or 0.0
        again = {"tries": max(0, row.tries - 1), "run_at": clock.now(later)}
        return Ruling(to=Status.QUEUED, changes={**clean_slate(), **again}, remark=BACK)
    crashes = _crashes(row, outcome, blameless=blameless)
    if crashes >= settings.QUARANTINE_AFTER:
        return _quarantine(crashes, error)
    changes: dict[str, Any] = {"error": error, "crashes": crashes}
    if permanent or row.tries >= row.max_attempts:
        return Ruling(to=Status.FAILED, changes=changes)
    asked = bounded(retry_after)
    pause = backoff_of(row).pause(row.tries) if asked is None else asked
    if row.expires_at is not None and row.expires_at <= clock.read() + timedelta(seconds=pause):
        remark = "Its time runs out before it could be tried again."
        changes["error"] = f"{error} {remark}".strip()
        return Ruling(to=Status.FAILED, changes=changes, remark=remark)
    again = {**clean_slate(), **changes, "run_at": clock.now(pause)}
    return Ruling(to=Status.QUEUED, changes=again, remark=BACK)


def backoff_of(task: Task) -> Backoff:
    """Its own policy, else its job's; the usual one where this release knows neither."""
    try:
        if task.backoff is not None:
            return Backoff.of(task.backoff)
        return registry.get(task.job).backoff
    except (KeyError, TypeError, ValueError, AttributeError):
        return Backoff()


def clean_slate() -> dict[str, Any]:
    """What an attempt leaves in the row, wiped off."""
    return {
        "progress_done": 0,
        "progress_total": None,
        "progress_rate": None,
        "message": "",
        "error": "",
        "result": None,
        "worker": "",
        "lease_expires_at": None,
    }


def _crashes(row: Task, outcome: Outcome, *, blameless: bool) -> int:
    """How many attempts in a row have killed their process by now."""
    if blameless:
        return row.crashes
    return row.crashes + 1 if outcome in KILLED else 0


def _quarantine(crashes: int, error: str) -> Ruling:
    many = f"{crashes} attempts in a row" if crashes > 1 else "An attempt"
    remark = f"{many} died with their process: quarantined."
    told = (
        f"{many} died with their process, so it is in quarantine and isn't tried again. "
        f"{f'The last one: {error} ' if error else ''}"
        "Find out what kills it; trying it again releases it."
    )
    changes = {"error": told, "crashes": crashes, "quarantined_at": clock.now()}
    return Ruling(to=Status.FAILED, changes=changes, remark=remark)
