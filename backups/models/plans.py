"""How a database is backed up: from where, to where, compressed how, within which limits."""

from __future__ import annotations

from django.db import models

from accounts.models import Teamwork
from backups.models.names import validate_name


class Plan(Teamwork):
    """`plan.start(by=…)` is the one verb behind every door (see `backups.models.backups`)."""

    class Compression(models.TextChoices):
        GZIP = "gzip", "gzip"
        ZSTD = "zstd", "zstd"
        NONE = "none", "none"

    class Format(models.TextChoices):
        SQL = "sql", "Plain SQL"

    name = models.CharField(max_length=63, validators=[validate_name])
    database = models.ForeignKey(
        "backups.Database", on_delete=models.PROTECT, related_name="plans"
    )
    destination = models.ForeignKey(
        "backups.Destination", on_delete=models.PROTECT, related_name="plans"
    )
    format = models.CharField(max_length=10, choices=Format, default=Format.SQL)
    compression = models.CharField(
        max_length=10, choices=Compression, default=Compression.GZIP
    )
    compression_level = models.SmallIntegerField(
        null=True, blank=True, help_text="Empty: the fast default of the compressor"
    )
    enabled = models.BooleanField(default=True)
    max_attempts = models.PositiveIntegerField(default=3)
    deadline_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="Longest an attempt may take; empty: no limit"
    )
    stall_seconds = models.PositiveIntegerField(
        default=600, help_text="Fail an attempt in which no byte moved for so long"
    )
    lock_wait_seconds = models.PositiveIntegerField(
        default=60, help_text="Give up when a table's lock can't be had for so long"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="backups_plan_once"),
        ]

    def __str__(self) -> str:
        return self.name
