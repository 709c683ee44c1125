"""A task: one piece of long work. Its row is the queue and the truth; what travels is its id."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import Teamwork
from tasks.states import ENDED, Status, WhenBusy


class Task(Teamwork):
    """One piece of long work, from being asked for to its result.

    Rows are changed through `tasks.transitions` alone, by compare-and-swap. `seq` grows with
    every change a watcher could see, progress included, and numbers the task's events.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.CharField(max_length=100, help_text="Name in the job registry")
    title = models.CharField(max_length=200, blank=True, help_text="What a person reads in a list")
    subject = models.CharField(
        max_length=100, blank=True, help_text="What it is about: an id to count ended tasks by"
    )
    args = models.JSONField(default=dict, blank=True, help_text="Ids and options; never a secret")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    status = models.CharField(max_length=20, choices=Status, default=Status.QUEUED)
    queue = models.CharField(max_length=63, default="default")
    priority = models.SmallIntegerField(default=0, help_text="Higher runs first")
    run_at = models.DateTimeField(default=timezone.now, help_text="Not before this moment")

    attempt = models.PositiveIntegerField(default=0, help_text="Number of the current attempt")
    tries = models.PositiveIntegerField(
        default=0, help_text="Attempts that count against the limit"
    )
    max_attempts = models.PositiveIntegerField(default=3)
    deadline_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="Per attempt")
    stall_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="Fail an attempt that reports no progress for so long"
    )
    expires_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="The end of it, whatever tries are left",
    )
    backoff = models.JSONField(
        null=True,
        blank=True,
        help_text="Pauses between tries {first, factor, most}; else the job's",
    )
    crashes = models.PositiveIntegerField(
        default=0, help_text="Attempts in a row that killed their process"
    )
    quarantined_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it is kept from killing more processes"
    )
    concurrency_key = models.CharField(
        max_length=200, blank=True, help_text="Tasks with the same key take turns"
    )
    concurrency_limit = models.PositiveIntegerField(
        default=1, help_text="How many of its key may run at once, this one included"
    )
    when_busy = models.CharField(
        max_length=10,
        choices=WhenBusy,
        default=WhenBusy.WAIT,
        help_text="What becomes of it where its key is taken when it could start",
    )
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=200, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    progress_done = models.BigIntegerField(default=0)
    progress_total = models.BigIntegerField(null=True, blank=True)
    progress_unit = models.CharField(max_length=20, default="bytes")
    progress_rate = models.FloatField(null=True, blank=True, help_text="Units a second")
    message = models.CharField(max_length=500, blank=True)
    error = models.TextField(blank=True, help_text="One sentence with cause and remedy")
    result = models.JSONField(null=True, blank=True)
    seq = models.PositiveBigIntegerField(default=0)

    idempotency_key = models.CharField(max_length=200, null=True, blank=True)
    request_digest = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(default=timezone.now)
    callback_due_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When to call Job.ended (again); empty once it has returned",
    )
    fresh = False  # True on what `queue.push` has just made, False where it found it
    seconds_left: float | None = None  # to `expires_at`, told by `queue.claim`

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            # Exactly the claim's query: the best due row of a queue.
            models.Index(
                fields=["queue", "-priority", "run_at"],
                name="tasks_task_due",
                condition=models.Q(status=Status.QUEUED),
            ),
            models.Index(
                fields=["lease_expires_at"],
                name="tasks_task_lease",
                condition=models.Q(status=Status.RUNNING),
            ),
            models.Index(fields=["team", "-created_at"], name="tasks_task_team"),
            models.Index(
                fields=["expires_at"],
                name="tasks_task_expiry",
                condition=models.Q(status=Status.QUEUED, expires_at__isnull=False),
            ),
            models.Index(
                fields=["quarantined_at"],
                name="tasks_task_quarantine",
                condition=models.Q(quarantined_at__isnull=False),
            ),
            models.Index(
                fields=["finished_at"],
                name="tasks_task_finished",
                condition=models.Q(finished_at__isnull=False),
            ),
            models.Index(fields=["updated_at"], name="tasks_task_updated"),
            models.Index(
                fields=["callback_due_at"],
                name="tasks_task_callback",
                condition=models.Q(callback_due_at__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["team", "owner", "idempotency_key"],
                condition=models.Q(idempotency_key__isnull=False),
                name="tasks_task_idempotency",
            ),
            # Where nobody owns it: NULLs differ from each other in the constraint above.
            models.UniqueConstraint(
                fields=["team", "idempotency_key"],
                condition=models.Q(owner__isnull=True, idempotency_key__isnull=False),
                name="tasks_task_idempotency_system",
            ),
        ]

    def __str__(self) -> str:
        return self.title or f"{self.job} {self.id}"

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def percent(self) -> float | None:
        """0 to 100, or None where the total is unknown; a running task never reads 100."""
        if self.status == Status.SUCCEEDED:
            return 100.0
        if not self.progress_total:
            return None
        return round(min(99.0, 100.0 * self.progress_done / self.progress_total), 1)

    @property
    def eta_seconds(self) -> float | None:
        if self.ended or not self.progress_total or not self.progress_rate:
            return None
        return round(max(0, self.progress_total - self.progress_done) / self.progress_rate, 1)
