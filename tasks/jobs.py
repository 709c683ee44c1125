"""The engine's own jobs and chores."""

from __future__ import annotations

from tasks import bulk, turns
from tasks.periodic import periodic
from tasks.registry import Job, register
from tasks.retries import Backoff

register(
    Job(
        name=bulk.JOB,
        run=bulk.run,
        title="Bulk work",
        max_attempts=5,
        backoff=Backoff(first=2.0, most=60.0),
    )
)


@periodic(every=60)
def sweep_turns() -> None:
    """Turns that nobody holds any more."""
    turns.sweep()
