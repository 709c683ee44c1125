"""One try at a task, by one process of its own."""

from __future__ import annotations

from django.db import models

from tasks.states import Outcome


class Attempt(models.Model):
    """What one try did, and what it opened outside, so that others can undo it after its death."""

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    worker = models.CharField(max_length=200)
    pid = models.PositiveIntegerField(null=True, blank=True, help_text="Of the child process")
    opened = models.JSONField(
        default=list, blank=True, help_text="What was opened outside: a list of {kind, …ids}"
    )
    outcome = models.CharField(max_length=20, choices=Outcome, blank=True)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["task", "number"]
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="tasks_attempt_once"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} attempt {self.number}"
