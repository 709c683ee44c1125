"""A file on its way in, and what it is once it has arrived."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from accounts.models import Teamwork


class Upload(Teamwork):
    """One file that is sent to us, in one piece or in many, by one request or many.

    `offset` is what has arrived for good. `writer` numbers the requests that write: a new one
    raises it, and what an older one still sends is not taken any more. A part of a file that is
    sent in parallel parts has no task; the whole that is made of the parts has.
    """

    class Kind(models.TextChoices):
        WHOLE = "whole", "A file"
        PART = "part", "A part of a file"
        JOINED = "joined", "A file joined from parts"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.OneToOneField(
        "tasks.Task", null=True, on_delete=models.CASCADE, related_name="upload"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.WHOLE)
    filename = models.CharField(max_length=255, blank=True, help_text="As its sender calls it")
    size = models.BigIntegerField(null=True, blank=True, help_text="Bytes; empty until it is told")
    offset = models.BigIntegerField(default=0, help_text="Bytes that have arrived for good")
    writer = models.PositiveIntegerField(default=0)
    metadata = models.TextField(blank=True, help_text="tus's Upload-Metadata, as it came")
    concat = models.TextField(blank=True, help_text="tus's Upload-Concat, as it came")
    wanted_sha256 = models.CharField(max_length=64, blank=True, help_text="As announced")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of what arrived")
    content_type = models.CharField(max_length=100, blank=True, help_text="Seen in its first bytes")
    direct_id = models.TextField(
        blank=True, help_text="S3's id, where its parts are sent to S3 itself"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(help_text="When a file that hasn't arrived is given up")
    completed_at = models.DateTimeField(null=True, blank=True)
    gone_at = models.DateTimeField(null=True, blank=True, help_text="When its bytes were removed")

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["expires_at"],
                name="tasks_upload_open",
                condition=models.Q(completed_at__isnull=True, gone_at__isnull=True),
            ),
            models.Index(
                fields=["owner"],
                name="tasks_upload_kept",
                condition=models.Q(gone_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.filename or str(self.pk)

    @property
    def complete(self) -> bool:
        return self.completed_at is not None
