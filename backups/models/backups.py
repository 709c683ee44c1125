"""A backup: what a run of a plan was asked for, and the receipt of what it stored."""

from __future__ import annotations

import uuid

from django.db import models

from accounts.models import Teamwork


class Backup(Teamwork):
    """One run of a plan; complete when `completed_at` is set, which follows the manifest."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    plan = models.ForeignKey(
        "backups.Plan", null=True, on_delete=models.SET_NULL, related_name="backups"
    )
    database = models.ForeignKey(
        "backups.Database", on_delete=models.PROTECT, related_name="backups"
    )
    destination = models.ForeignKey(
        "backups.Destination", on_delete=models.PROTECT, related_name="backups"
    )
    task = models.OneToOneField(
        "tasks.Task", null=True, on_delete=models.SET_NULL, related_name="backup"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    # The receipt, written once the manifest is stored.
    completed_at = models.DateTimeField(null=True, blank=True)
    duration_seconds = models.FloatField(null=True, blank=True)
    key = models.CharField(max_length=500, blank=True, help_text="Object name under the prefix")
    raw_bytes = models.BigIntegerField(null=True, blank=True)
    stored_bytes = models.BigIntegerField(null=True, blank=True)
    raw_sha256 = models.CharField(max_length=64, blank=True)
    stored_sha256 = models.CharField(max_length=64, blank=True)
    compression = models.CharField(max_length=10, blank=True)
    server_version = models.CharField(max_length=100, blank=True)
    tables = models.JSONField(
        default=dict, blank=True, help_text="Per table: {rows, bytes, digest}, as in the manifest"
    )
    manifest = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["database", "-completed_at"], name="backups_backup_last")]

    def __str__(self) -> str:
        return self.key or f"backup {self.id}"
