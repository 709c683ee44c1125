"""What happened to a task: moves and log lines, append-only, numbered per task."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Event(models.Model):
    """One line of a task's history."""

    class Kind(models.TextChoices):
        MOVE = "move", "Move"
        LOG = "log", "Log"

    team_path: ClassVar[str] = "task__team"

    task = models.ForeignKey(
        "tasks.Task",
        on_delete=models.CASCADE,
        related_name="events",
        db_index=False,  # the unique constraint begins with it
    )
    seq = models.PositiveBigIntegerField(help_text="The task's seq at that moment")
    at = models.DateTimeField(auto_now_add=True)
    kind = models.CharField(max_length=10, choices=Kind)
    level = models.CharField(max_length=10, default="info")
    attempt = models.PositiveIntegerField(default=0)
    message = models.TextField(blank=True)
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["task", "seq"]
        indexes = [
            # What retention looks for: the oldest lines.
            models.Index(fields=["at"], name="tasks_event_log", condition=models.Q(kind="log")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["task", "seq"], name="tasks_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} #{self.seq} {self.message}"
