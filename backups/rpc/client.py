"""Calling BackupService from inside the daemon, as the scheduler does.

    run_backup(plan, idempotency_key="schedule-7-2025-01-15T02:00:00Z")   -> the backup's id

Blocks for at most `patience` seconds, so call it in a thread (or by `asyncio.to_thread`). Nothing
here imports grpc before it is called: gRPC doesn't survive a fork, and only the daemon never forks.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import UUID

from accounts import machines, tokens
from backups.models import Plan, RefusedError
from backups.rpc import place

if TYPE_CHECKING:
    from accounts.models import User

PAUSE_SECONDS = 0.5


class UnreachableError(Exception):
    """Nobody answered, in all tries. The backup may have been started all the same: start it
    directly with the same key and the same user (`asker`), which gives that backup or a new one."""


def asker(plan: Plan) -> User:
    """As whom `run_backup` starts a backup of that plan."""
    return machines.scheduler(plan.team)


def run_backup(plan: Plan, *, idempotency_key: str, patience: float = 15.0) -> UUID:
    """Have it started by RunBackup over gRPC, with a token of one minute; doesn't wait for its end.

    The same key again gives the same backup. Raises UnreachableError where no server answered
    within `patience` seconds, RefusedError with the server's sentence where it said no.
    """
    import grpc

    from backups.rpc import backup_pb2, backup_pb2_grpc

    request = backup_pb2.BackupRequest(
        database=plan.database.name,
        plan_id=plan.pk,
        idempotency_key=idempotency_key,
        detach=True,
    )
    metadata = (("authorization", f"Bearer {tokens.brief_for(asker(plan))}"),)
    until = time.monotonic() + patience
    while True:
        target = place.target()
        left = until - time.monotonic()
        if left <= 0:
            raise UnreachableError("The gRPC server of this daemon does not answer.")
        if not target:
            time.sleep(min(PAUSE_SECONDS, left))
            continue
        try:
            with grpc.insecure_channel(target) as channel:  # never leaves this machine
                stub = backup_pb2_grpc.BackupServiceStub(channel)
                answer = stub.RunBackup(request, metadata=metadata, timeout=min(left, 5.0))
            return UUID(answer.backup_id)
        except grpc.RpcError as error:
            if error.code() not in (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.DEADLINE_EXCEEDED,
                grpc.StatusCode.CANCELLED,
            ):
                raise RefusedError(error.details() or str(error.code())) from None
        time.sleep(max(0.0, min(PAUSE_SECONDS, until - time.monotonic())))
