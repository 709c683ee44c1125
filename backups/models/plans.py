"""How a database is backed up: from where, to where, compressed how, within which limits."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import models, transaction

from accounts.models import Teamwork
from backups.models.backups import Backup
from backups.models.errors import RefusedError
from backups.models.names import validate_name
from backups.pipeline.compression import COMPRESSIONS, Compression
from tasks import queue

if TYPE_CHECKING:
    from accounts.models import User

STALL_MARGIN_SECONDS = 60
LONGEST_SECONDS = {
    "deadline_seconds": 366 * 86_400,
    "stall_seconds": 366 * 86_400,
    "lock_wait_seconds": 7 * 86_400,
}
"""Beyond these somebody has mistyped, and what counts milliseconds in 32 bits breaks."""


class Plan(Teamwork):
    """`plan.start(by=…)` is the one verb behind every door."""

    class Compression(models.TextChoices):
        GZIP = "gzip", "gzip"
        ZSTD = "zstd", "zstd"
        NONE = "none", "none"

    class Format(models.TextChoices):
        SQL = "sql", "Plain SQL"

    name = models.CharField(max_length=63, validators=[validate_name])
    database = models.ForeignKey("backups.Database", on_delete=models.PROTECT, related_name="plans")
    destination = models.ForeignKey(
        "backups.Destination", on_delete=models.PROTECT, related_name="plans"
    )
    format = models.CharField(max_length=10, choices=Format, default=Format.SQL)
    compression = models.CharField(max_length=10, choices=Compression, default=Compression.GZIP)
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

    def clean(self) -> None:
        """Every door calls it: limits make sense, and the compressor knows the level."""
        faults = {
            name: "Use 1 or more."
            for name in ("max_attempts", "deadline_seconds", "stall_seconds")
            if getattr(self, name) == 0
        }
        for name, most in LONGEST_SECONDS.items():
            if (getattr(self, name) or 0) > most:
                faults[name] = f"Use {most} ({most // 86_400} days) or less."
        kind, level = COMPRESSIONS.get(self.compression), self.compression_level
        if kind and level is not None and level not in kind.levels:
            faults["compression_level"] = _levels(kind)
        if faults:
            raise ValidationError(faults)

    def start(self, *, by: User | None, idempotency_key: str | None = None) -> Backup:
        """Ask for a backup: one transaction makes its row and its queued task.

        The same key by the same person answers the backup it started before. Raises RefusedError
        for a plan that is switched off, queue.IdempotencyConflictError for a key that was used for
        something else.
        """
        with transaction.atomic():
            task = queue.push(
                job="backup",
                team=self.team,
                owner=by,
                title=f"Back up {self.database.name}",
                subject=str(self.database.pk),
                args={"plan": self.pk},
                queue=self.database.queue,
                max_attempts=self.max_attempts,
                deadline_seconds=self.deadline_seconds,
                # The source watches its own side, and can say what it waits for.
                stall_seconds=self.stall_seconds + STALL_MARGIN_SECONDS,
                concurrency_key=f"database:{self.database.pk}",  # one at a time: others wait
                idempotency_key=idempotency_key,
                request_digest=sha256(f"backup plan {self.pk}".encode()).hexdigest(),
            )
            if task.fresh and not self.enabled:
                raise RefusedError(
                    f"The plan {self.name} is switched off.", remedy="Enable it to run it."
                )
            backup, _ = Backup.objects.get_or_create(
                task=task,
                defaults={
                    "team": self.team,
                    "plan": self,
                    "database": self.database,
                    "destination": self.destination,
                },
            )
        return backup


def _levels(kind: Compression) -> str:
    if not kind.levels:
        return f"{kind.name} has no levels; leave it empty."
    return f"Use {kind.levels[0]} to {kind.levels[-1]} with {kind.name}, or leave it empty."
