"""Calling BackupService from inside the daemon, as the scheduler does.

    run_backup(plan, idempotency_key="schedule-7-2025-01-15T02:00:00Z")   -> the backup's id
    verify_backup(backup, idempotency_key=…)                             -> the proof's id

Both block for at most `patience` seconds, so call them in a thread. They have the work started
with a token of one minute and don't wait for its end; the same key again gives the same work. They
raise UnreachableError where no server answered in that time, IdempotencyConflictError where the
key was used for another request, RefusedError with the server's sentence where it said no.

Nothing here imports grpc before it is called: gRPC doesn't survive a fork, and only the daemon
never forks.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts import machines, tokens
from backups.models import Backup, Plan, RefusedError
from backups.rpc import place
from tasks.errors import IdempotencyConflictError

if TYPE_CHECKING:
    from accounts.models import Team, User

PATIENCE = 15.0
PAUSE_SECONDS = 0.5
CALL_SECONDS = 5.0


class UnreachableError(Exception):
    """Nobody answered, in all tries. The work may have been started all the same: start it
    directly with the same key and the same user (`asker`), which gives that work or a new one."""


def asker(team: Team) -> User:
    """As whom work of that team is asked for here."""
    return machines.scheduler(team)


def run_backup(plan: Plan, *, idempotency_key: str, patience: float = PATIENCE) -> UUID:
    from backups.rpc import backup_pb2 as pb

    request = pb.BackupRequest(
        database=plan.database.name,
        plan_id=plan.pk,
        idempotency_key=idempotency_key,
        detach=True,
    )
    return UUID(_answer("RunBackup", request, plan.team, patience).backup_id)


def verify_backup(backup: Backup, *, idempotency_key: str, patience: float = PATIENCE) -> UUID:
    from backups.rpc import backup_pb2 as pb

    request = pb.VerifyRequest(
        backup_id=str(backup.pk), idempotency_key=idempotency_key, detach=True
    )
    return UUID(_answer("VerifyBackup", request, backup.team, patience).id)


def _answer(method: str, request: Any, team: Team, patience: float) -> Any:
    """Of the server of this process, once there is one."""
    metadata = (("authorization", f"Bearer {tokens.brief_for(asker(team))}"),)
    until = time.monotonic() + patience
    while (left := until - time.monotonic()) > 0:
        if target := place.target():
            answer = _call(target, method, request, metadata, min(left, CALL_SECONDS))
            if answer is not None:
                return answer
        time.sleep(max(0.0, min(PAUSE_SECONDS, until - time.monotonic())))
    raise UnreachableError("The gRPC server of this daemon does not answer.")


def _call(target: str, method: str, request: Any, metadata: Any, timeout: float) -> Any:
    """None where nobody answered."""
    import grpc

    from backups.rpc.backup_pb2_grpc import BackupServiceStub

    try:
        with grpc.insecure_channel(target) as channel:  # never leaves this machine
            call = getattr(BackupServiceStub(channel), method)
            return call(request, metadata=metadata, timeout=timeout)
    except grpc.RpcError as error:
        code, sentence = error.code(), error.details() or error.code().name
    if code == grpc.StatusCode.ALREADY_EXISTS:
        raise IdempotencyConflictError(sentence)
    if code.name not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"):
        raise RefusedError(sentence)
    return None
