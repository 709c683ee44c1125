"""One try at a task, by one process of its own."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tasks.states import Outcome


class Attempt(models.Model):
    """What one try did, and what it opened outside, so that others can undo it after its death."""

    team_path: ClassVar[str] = "task__team"

    task = models.ForeignKey(
        "tasks.Task",
        on_delete=models.CASCADE,
        related_name="attempts",
        db_index=False,  # the unique constraint begins with it
    )
    number = models.PositiveIntegerField()
    worker = models.CharField(max_length=200)
    host = models.CharField(
        max_length=200, blank=True, help_text="Machine, boot and process id space"
    )
    minder = models.CharField(
        max_length=50, blank=True, help_text="The process that minds it: pid.start"
    )
    child = models.CharField(
        max_length=50, blank=True, help_text="The process that runs the job: pid.start"
    )
    opened = models.JSONField(
        default=list, blank=True, help_text="What was opened outside: a list of {kind, …ids}"
    )
    undo_due_at = models.DateTimeField(
        null=True, blank=True, help_text="When to try again to undo what was left open"
    )
    outcome = models.CharField(max_length=20, choices=Outcome, blank=True)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["task", "number"]
        indexes = [
            models.Index(
                fields=["host"], name="tasks_attempt_open", condition=models.Q(outcome="")
            ),
            models.Index(
                fields=["undo_due_at"],
                name="tasks_attempt_undo",
                condition=models.Q(undo_due_at__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="tasks_attempt_once"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} attempt {self.number}"

    @property
    def pid(self) -> int | None:
        """The child process's id on `host`, once its minder has told it."""
        return int(self.child.partition(".")[0]) if self.child else None
