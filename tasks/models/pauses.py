"""What is held back: queues and kinds of job that nobody starts until they are resumed."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from tasks import registry


class Pause(models.Model):
    """A queue, or a kind of job, of which nothing is started; what runs goes on."""

    class Kind(models.TextChoices):
        QUEUE = "queue", "Queue"
        JOB = "job", "Kind of job"

    kind = models.CharField(max_length=10, choices=Kind)
    name = models.CharField(max_length=100)
    reason = models.CharField(max_length=200, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["kind", "name"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="tasks_pause_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def clean(self) -> None:
        """Queues need no list of their own; kinds of job are known."""
        if self.kind == Pause.Kind.JOB and self.name not in registry.names():
            known = ", ".join(registry.names())
            raise ValidationError({"name": f"No job is called so; known: {known}."})
