"""A proof: a backup was restored into a scratch server and compared, table by table."""

from __future__ import annotations

import uuid

from django.db import models

from accounts.models import Teamwork


class Proof(Teamwork):
    """The verdict of one drill, dated. Without a verdict the drill has not ended."""

    class Verdict(models.TextChoices):
        PROVEN = "proven", "Proven: every table came back the same"
        DIFFERS = "differs", "Differs: the restored data is not what was backed up"
        BROKEN = "broken", "Broken: the backup could not be restored"
        UNDECIDED = "undecided", "Undecided: the drill itself could not be run"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    backup = models.ForeignKey("backups.Backup", on_delete=models.CASCADE, related_name="proofs")
    task = models.OneToOneField(
        "tasks.Task", null=True, on_delete=models.SET_NULL, related_name="proof"
    )
    verdict = models.CharField(max_length=20, choices=Verdict, blank=True)
    reason = models.TextField(blank=True, help_text="One sentence, where it is not proven")
    tables = models.JSONField(
        default=list, blank=True, help_text="[{table, rows, rows_restored, verdict}]"
    )
    server_version = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    duration_seconds = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.get_verdict_display() or 'Pending'}: {self.backup}"
