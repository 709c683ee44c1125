"""The engine's own jobs and chores: bulk work, canaries, what is removed when it is old."""

from __future__ import annotations

from tasks import bulk, canaries, retention, turns
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

register(
    Job(
        name=canaries.JOB,
        run=canaries.run,
        title="Canary",
        max_attempts=1,
        deadline_seconds=60,
        ended=canaries.returned,
    )
)


@periodic(every=canaries.LOOK_SECONDS, prompt=True)
def tend_canaries() -> None:
    """Send one through each queue, each minute."""
    canaries.tend()


@periodic(every=3600)
def remove_old_tasks() -> None:
    """What was kept long enough."""
    retention.sweep()


@periodic(every=60)
def sweep_turns() -> None:
    """Turns that nobody holds any more."""
    turns.sweep()
