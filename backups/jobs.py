"""The jobs of this app: a backup, a restore, a drill. Each loads its row, runs the flow, writes
what came of it; the flow itself is in `backups.pipeline.flow`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.utils import timezone

from backups import foreign_dumps as foreign_dumps  # registers its job
from backups import leftovers, recipes
from backups.models import Backup, Database, Destination, Proof, Restore
from backups.notifications import notices, sending
from backups.pipeline import drill, flow, scratch
from backups.pipeline.errors import PipelineError
from backups.pipeline.manifest import Manifest
from tasks import registry
from tasks.errors import JobError, PermanentError
from tasks.models import Task
from tasks.periodic import periodic
from tasks.registry import Context, Job
from tasks.retries import Backoff


@contextmanager
def _told() -> Iterator[None]:
    """Turns the pipeline's errors into the job's, which the minder retries or not."""
    try:
        yield
    except PipelineError as error:
        kind = PermanentError if error.permanent else JobError
        raise kind(error.sentence, remedy=error.remedy) from error


class _Here:
    """The context of an attempt as the flow sees it: what it opens carries the destination."""

    def __init__(self, context: Context, destination: Destination) -> None:
        self.progress = context.progress
        self.message = context.message
        self.log = context.log
        self.confirm = context.confirm
        self._context = context
        self._destination = str(destination.pk)
        self._sealed: dict[str, str] = {}

    def opened(self, kind: str, **ids: str) -> None:
        self._context.opened(kind, destination=self._destination, **self._kept(ids))

    def closed(self, kind: str, **ids: str) -> None:
        self._context.closed(kind, destination=self._destination, **self._kept(ids))

    def _kept(self, ids: dict[str, str]) -> dict[str, str]:
        """With the secret sealed, each time to the same, so that what is closed is found."""
        secret = ids.get("secret")
        if secret is None:
            return ids
        if secret not in self._sealed:
            self._sealed[secret] = recipes.seal(secret)
        return ids | {"secret": self._sealed[secret]}


# Backup -----------------------------------------------------------------------------------------


def run_backup(context: Context) -> Mapping[str, Any]:
    """Dump the plan's database into its destination and write the receipt."""
    backup = Backup.objects.select_related("plan", "database", "destination").get(
        task_id=context.task_id
    )
    if backup.complete:  # an attempt before this one died between receipt and report
        return _receipt(backup)
    if backup.plan is None:
        raise PermanentError("The plan of this backup was deleted.", remedy="Start another plan.")
    began = time.monotonic()
    order = flow.DumpOrder(
        database=backup.database.name,
        plan=backup.plan.name,
        compression=backup.plan.compression,
        level=backup.plan.compression_level,
        expected_bytes=_last_size(backup),
    )
    with _told():
        key, manifest = flow.store_dump(
            order,
            recipes.source_for(backup.database, backup.plan, waiting=context.message),
            recipes.store_for(backup.destination),
            _Here(context, backup.destination),
            reserve=backup.reserve,
            accept=lambda key, manifest: _complete(
                backup, context, key, manifest, time.monotonic() - began
            ),
        )
    context.log(
        f"Stored {key}: {manifest.stored_bytes} bytes of {manifest.raw_bytes}, "
        f"{len(manifest.tables)} tables."
    )
    return _receipt(backup)


def _last_size(backup: Backup) -> int | None:
    """Bytes of the newest complete dump of the same database, as an estimate."""
    return (
        Backup.objects.filter(database=backup.database, completed_at__isnull=False)
        .order_by("-completed_at")
        .values_list("raw_bytes", flat=True)
        .first()
    )


def _complete(
    backup: Backup, context: Context, key: str, manifest: Manifest, seconds: float
) -> None:
    """Write the receipt, if the task is still this attempt's."""
    with transaction.atomic():
        context.confirm()
        backup.completed_at = timezone.now()
        backup.duration_seconds = round(seconds, 3)
        backup.key = key
        backup.raw_bytes = manifest.raw_bytes
        backup.stored_bytes = manifest.stored_bytes
        backup.raw_sha256 = manifest.raw_sha256
        backup.stored_sha256 = manifest.stored_sha256
        backup.compression = manifest.compression
        backup.server_version = manifest.server_version
        backup.manifest = manifest.as_json()
        backup.tables = backup.manifest["tables"]
        backup.save()


def _receipt(backup: Backup) -> dict[str, Any]:
    return {
        "backup": str(backup.pk),
        "key": backup.key,
        "raw_bytes": backup.raw_bytes,
        "stored_bytes": backup.stored_bytes,
        "stored_sha256": backup.stored_sha256,
        "tables": len(backup.tables),
    }


def undo_backup(opened: Mapping[str, str]) -> None:
    """Remove what a dead attempt left in its destination; a backup with a receipt stays."""
    ids = dict(opened)
    kind = ids.pop("kind")
    destination = Destination.objects.filter(pk=ids.pop("destination")).first()
    if destination is None:
        return
    store = recipes.store_for(destination)
    if kind == "upload":
        if "secret" in ids:
            ids["secret"] = recipes.unseal(ids["secret"])
        store.undo(ids)
    elif not Backup.objects.filter(
        destination=destination, key=ids["key"], completed_at__isnull=False
    ).exists():
        flow.remove(store, ids["key"])


# Restore ----------------------------------------------------------------------------------------


def run_restore(context: Context) -> Mapping[str, Any]:
    """Stream a stored backup into a database."""
    restore = Restore.objects.select_related("backup__destination", "target").get(
        task_id=context.task_id
    )
    backup = restore.backup
    began = time.monotonic()
    with _told():
        flow.load_object(
            backup.key,
            Manifest.from_json(backup.manifest),
            recipes.store_for(backup.destination),
            recipes.sink_for(restore, context),
            _Here(context, backup.destination),
        )
    restore.completed_at = timezone.now()
    restore.duration_seconds = round(time.monotonic() - began, 3)
    restore.raw_bytes = backup.raw_bytes
    restore.save()
    return {"restore": str(restore.pk), "dbname": restore.dbname, "raw_bytes": backup.raw_bytes}


def undo_restore(opened: Mapping[str, str]) -> None:
    """Drop the half-filled database of a dead attempt."""
    target = Database.objects.filter(pk=opened["target"]).first()
    if target is not None:
        recipes.drop_restoring(target, opened["name"])


# Drill ------------------------------------------------------------------------------------------


def run_drill(context: Context) -> Mapping[str, Any]:
    """Restore into a scratch server, compare table by table, date the verdict.

    A backup that proves bad is a drill that went well: the task succeeds and the verdict tells.
    """
    proof = Proof.objects.select_related("backup__destination").get(task_id=context.task_id)
    backup = proof.backup
    began = time.monotonic()
    with _told():
        report = drill.run(
            backup.key,
            Manifest.from_json(backup.manifest),
            recipes.store_for(backup.destination),
            _Here(context, backup.destination),
        )
    with transaction.atomic():
        context.confirm()
        proof.verdict = report.verdict
        proof.reason = report.reason
        proof.tables = report.tables
        proof.server_version = report.server_version
        proof.duration_seconds = round(time.monotonic() - began, 3)
        proof.completed_at = timezone.now()
        proof.save()
    context.log(f"Verdict: {proof.get_verdict_display()} {proof.reason}".strip())
    return {"proof": str(proof.pk), "verdict": proof.verdict, "tables": len(proof.tables)}


def undo_drill(opened: Mapping[str, str]) -> None:
    """Remove the scratch server of a dead attempt; on another machine its own sweep does."""
    scratch.remove(opened["folder"])


def end_drill(task: Task) -> None:
    """A drill that could not be run leaves its reason: the backup is neither proven nor broken."""
    Proof.objects.filter(task=task, verdict="").update(
        verdict=Proof.Verdict.UNDECIDED,
        reason=task.error or f"The drill was {task.get_status_display().lower()}.",
        completed_at=timezone.now(),
    )
    notices.drill_ended(task)


registry.register(
    Job(
        name="backup",
        run=run_backup,
        title="Backup",
        undo=undo_backup,
        ended=notices.backup_ended,
    )
)
registry.register(Job(name="restore", run=run_restore, title="Restore", undo=undo_restore))
registry.register(Job(name="drill", run=run_drill, title="Drill", undo=undo_drill, ended=end_drill))
registry.register(
    Job(
        name=notices.JOB,
        run=sending.run,
        title="Notification",
        ended=sending.ended,
        max_attempts=3,
        backoff=Backoff(first=1.0, factor=2.0, most=4.0, jitter=0.1),
        deadline_seconds=60,
    )
)


@periodic(every=3600, on_each_machine=True)
def sweep_leftovers() -> None:
    """Hourly, by a daemon of each machine, for its own disks; harmless when several do it."""
    leftovers.sweep()
