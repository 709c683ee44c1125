"""A restore: a stored backup streamed back into a database."""

from __future__ import annotations

import uuid

from django.db import models

from accounts.models import Teamwork


class Restore(Teamwork):
    """Loads `backup` into `dbname` on the server of `target`.

    The data is loaded into a new database beside it, which takes the name on success. An
    existing database of that name is only replaced when `replace` was asked for.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    backup = models.ForeignKey("backups.Backup", on_delete=models.PROTECT, related_name="restores")
    target = models.ForeignKey(
        "backups.Database", on_delete=models.PROTECT, related_name="restores"
    )
    dbname = models.CharField("database name", max_length=63)
    replace = models.BooleanField(default=False)
    task = models.OneToOneField(
        "tasks.Task", null=True, on_delete=models.SET_NULL, related_name="restore"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    duration_seconds = models.FloatField(null=True, blank=True)
    raw_bytes = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.backup} into {self.dbname}"
