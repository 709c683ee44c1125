"""A file that a task has brought, to be fetched until it expires."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models


class Artifact(models.Model):
    """The downloadable result of a task; of an attempt that did not succeed none is shown."""

    team_path: ClassVar[str] = "task__team"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="artifacts")
    attempt = models.PositiveIntegerField()
    name = models.CharField(max_length=255, help_text="What it is saved as")
    key = models.CharField(max_length=255, help_text="Where it is kept in the file storage")
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=100, default="application/octet-stream")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True, blank=True, help_text="When its bytes were removed")

    class Meta:
        ordering = ["task", "created_at"]
        indexes = [
            models.Index(
                fields=["expires_at"],
                name="tasks_artifact_kept",
                condition=models.Q(gone_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name
