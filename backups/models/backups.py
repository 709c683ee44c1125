"""A backup: what a run of a plan was asked for, and the receipt of what it stored."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, models, transaction

from accounts.models import Teamwork
from backups.models.databases import Database
from backups.models.errors import RefusedError, UnfitError
from backups.models.proofs import Proof
from backups.models.restores import Restore
from tasks import queue

if TYPE_CHECKING:
    from accounts.models import User


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
    key = models.CharField(
        max_length=500,
        blank=True,
        help_text="Object name under the prefix; reserved before the dump, an object once complete",
    )
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
        constraints = [
            # Two runs of one database in the same second must not want the same object.
            models.UniqueConstraint(
                fields=["destination", "key"],
                condition=~models.Q(key=""),
                name="backups_backup_key_once",
            ),
        ]

    def __str__(self) -> str:
        return self.key if self.complete else f"backup {self.id}"

    @property
    def complete(self) -> bool:
        """Whether it is whole in storage, manifest and all."""
        return self.completed_at is not None

    def reserve(self, key: str) -> bool:
        """Take the key for this backup, in place of one it had before; False where it is taken."""
        try:
            with transaction.atomic():
                Backup.objects.filter(pk=self.pk).update(key=key)
        except IntegrityError:
            return False
        self.key = key
        return True

    @property
    def manifest_key(self) -> str:
        return f"{self.key}.manifest.json"

    def restore(
        self,
        *,
        by: User | None,
        target: Database,
        dbname: str,
        replace: bool = False,
        idempotency_key: str | None = None,
    ) -> Restore:
        """Ask for this backup to be loaded into `dbname` on the server of `target`.

        The same key by the same person answers the restore it asked for before; another request
        under that key raises queue.IdempotencyConflictError.
        """
        self._must_be_complete("restored")
        if target.engine != self.database.engine:
            raise UnfitError(
                f"{self} is a backup of {self.database.get_engine_display()} and "
                f"{target.name} is {target.get_engine_display()}.",
                field="target",
                remedy="Choose a server of the same kind.",
            )
        wish: dict[str, Any] = {"target": target, "dbname": dbname, "replace": replace}
        with transaction.atomic():
            task = queue.push(
                job="restore",
                team=self.team,
                owner=by,
                title=f"Restore {self.database.name} into {dbname}",
                args={"backup": str(self.pk)},
                queue=target.queue,
                # Not beside another into the same one, nor beside a backup of what it replaces.
                concurrency_key=_turn_into(target, dbname),
                idempotency_key=idempotency_key,
                request_digest=queue.digest_of(
                    "restore", {**wish, "target": target.pk, "of": self.pk}
                ),
            )
            restore, _ = Restore.objects.get_or_create(
                task=task, defaults={"team": self.team, "backup": self, **wish}
            )
        return restore

    def prove(self, *, by: User | None, idempotency_key: str | None = None) -> Proof:
        """Ask for a drill: restore into a scratch server, compare, date the verdict.

        The same key by the same person answers the proof it asked for before; another request
        under that key raises queue.IdempotencyConflictError.
        """
        self._must_be_complete("proven")
        with transaction.atomic():
            task = queue.push(
                job="drill",
                team=self.team,
                owner=by,
                title=f"Prove {self.database.name}",
                args={"backup": str(self.pk)},
                queue=self.database.queue,
                concurrency_key=f"drill:{self.database.pk}",
                idempotency_key=idempotency_key,
            )
            proof, _ = Proof.objects.get_or_create(
                task=task, defaults={"team": self.team, "backup": self}
            )
        return proof

    def _must_be_complete(self, verb: str) -> None:
        if not self.complete:
            raise RefusedError(
                f"This backup of {self.database.name} is not complete and can't be {verb}.",
                remedy="Choose one that is.",
            )


def _turn_into(target: Database, dbname: str) -> str:
    """Restores into one database take turns, with its backups too where it is the one backed up."""
    own = f"database:{target.pk}"
    return own if dbname == target.dbname else f"{own}:{dbname}"
