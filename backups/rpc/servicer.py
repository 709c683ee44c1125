"""BackupService: each method parses, calls one verb, renders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from backups.rpc import backup_pb2 as pb
from backups.rpc import backup_pb2_grpc, callers, finding, listing, messages, rights, verbs
from backups.rpc.database import ask, ask_status
from backups.rpc.following import Stopping, end_of, standings
from backups.rpc.logins import Logins
from backups.rpc.refusals import StatusError, told, told_stream
from backups.rpc.schedules import Schedules
from tasks import checks, crews
from tasks.checks import Part
from tasks.models import Worker

ACCEPTED, COMPLETED = "backup accepted", "backup completed"


class Servicer(Logins, Schedules, backup_pb2_grpc.BackupServiceServicer):
    """`stopping` is set when the server is about to stop: whoever waits is told then. `parts` are
    what this daemon alone can tell of, beside those that every process can."""

    def __init__(self, version: str, parts: Sequence[Part] = ()) -> None:
        self.stopping = Stopping()
        self._version = version
        self._parts = parts

    @told
    async def RunBackup(self, request: pb.BackupRequest, context: Any) -> pb.BackupResponse:
        backup = await ask(verbs.start, callers.current(), request)
        pk = str(backup.pk)
        await context.send_initial_metadata((("backup-id", pk),))
        if request.detach:
            return pb.BackupResponse(status=ACCEPTED, backup_id=pk, backup=messages.backup(backup))
        if backup.task is not None:
            await end_of(backup.task.pk, self.stopping, context)
        stored = await ask(verbs.backup_again, backup)
        if not stored.complete:
            raise StatusError.precondition("This backup was not completed, and its task is gone.")
        return pb.BackupResponse(status=COMPLETED, backup_id=pk, backup=messages.backup(stored))

    @told_stream
    async def StreamProgress(
        self, request: pb.BackupRequest, context: Any
    ) -> AsyncIterator[pb.ProgressUpdate]:
        caller = callers.current()
        work = await ask(verbs.followed, caller, request)
        if work.task is None:
            yield messages.without_task(work, verbs.job_of(work))
            return
        pk = str(work.pk)
        rights_lost = partial(rights.lost, caller, pk)
        async for standing in standings(work.task.pk, self.stopping.wait, rights_lost):
            yield messages.progress(standing, pk)

    @told
    async def CancelBackup(self, request: pb.CancelRequest, context: Any) -> pb.Standing:
        return await ask(verbs.cancel, callers.current(), request.backup_id)

    @told
    async def ListBackups(
        self, request: pb.ListBackupsRequest, context: Any
    ) -> pb.ListBackupsResponse:
        return await ask(listing.backups, callers.current(), request)

    @told
    async def GetBackup(self, request: pb.GetBackupRequest, context: Any) -> pb.Backup:
        return await ask(_whole_backup, callers.current(), request.backup_id)

    @told
    async def RestoreBackup(self, request: pb.RestoreRequest, context: Any) -> pb.Restore:
        restore = await ask(verbs.restore, callers.current(), request)
        await context.send_initial_metadata((("restore-id", str(restore.pk)),))
        if not request.detach and restore.task is not None:
            await end_of(restore.task.pk, self.stopping, context)
            restore = await ask(verbs.restore_again, restore)
        return messages.restore(restore)

    @told
    async def VerifyBackup(self, request: pb.VerifyRequest, context: Any) -> pb.Proof:
        proof = await ask(verbs.prove, callers.current(), request)
        await context.send_initial_metadata((("proof-id", str(proof.pk)),))
        if not request.detach and proof.task is not None:
            await end_of(proof.task.pk, self.stopping, context)
            proof = await ask(verbs.proof_again, proof)
        return messages.proof_message(proof)

    @told
    async def ListDatabases(
        self, request: pb.ListDatabasesRequest, context: Any
    ) -> pb.ListDatabasesResponse:
        return await ask(listing.databases, callers.current())

    @told
    async def GetStatus(self, request: pb.StatusRequest, context: Any) -> pb.StatusResponse:
        found = await ask_status(checks.findings, *self._parts)
        return pb.StatusResponse(
            parts=[messages.part(name, one) for name, one in found.items()],
            version=self._version,
            worker_hosts=await ask_status(_worker_hosts),
        )


def _worker_hosts() -> list[str]:
    there = crews.alive().filter(kind=Worker.Kind.WORKER)
    return sorted(set(there.values_list("host", flat=True)))


def _whole_backup(caller: callers.Caller, raw: str) -> pb.Backup:
    backup = finding.backup(caller, raw)
    proof = backup.proofs.select_related("task").first()
    return messages.backup(backup, proof=proof, whole=True)
