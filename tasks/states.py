"""The states of a task and the moves between them: the one table that says what may follow what."""

from __future__ import annotations

from django.db import models


class Status(models.TextChoices):
    """Where a task stands.

    AWAITING_UPLOAD -> UPLOADING -> QUEUED          EXPIRED from the first two
    QUEUED  -> RUNNING | CANCELLED | FAILED (its time ran out)
    RUNNING -> SUCCEEDED | FAILED | CANCELLED | QUEUED (retry, rescue, shutdown)
    FAILED  -> QUEUED (a person retries)            SUCCEEDED, CANCELLED, EXPIRED are final
    """

    AWAITING_UPLOAD = "awaiting_upload", "Awaiting upload"
    UPLOADING = "uploading", "Uploading"
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"


MOVES: dict[Status, frozenset[Status]] = {
    Status.AWAITING_UPLOAD: frozenset(
        {Status.UPLOADING, Status.QUEUED, Status.CANCELLED, Status.EXPIRED}
    ),
    Status.UPLOADING: frozenset({Status.QUEUED, Status.CANCELLED, Status.EXPIRED}),
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED, Status.FAILED}),
    Status.RUNNING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.QUEUED}),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.SUCCEEDED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.EXPIRED: frozenset(),
}

ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED})


class Outcome(models.TextChoices):
    """How one attempt ended."""

    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    TIMED_OUT = "timed_out", "Timed out"
    CRASHED = "crashed", "Crashed (its process died)"
    LOST = "lost", "Lost (its lease ran out)"
    CANCELLED = "cancelled", "Cancelled"
    INTERRUPTED = "interrupted", "Interrupted (shutdown; not counted)"


class WhenBusy(models.TextChoices):
    """What becomes of a task that could start but whose concurrency key is taken."""

    WAIT = "wait", "Wait for its turn"
    SKIP = "skip", "Be cancelled"
