"""What the methods do. All of it asks the database; raises StatusError and the nouns' own."""

from __future__ import annotations

from typing import Any

from accounts.policy import Verb
from backups.models import Backup, Proof, Restore
from backups.rpc import backup_pb2 as pb
from backups.rpc import finding
from backups.rpc.callers import Caller
from backups.rpc.finding import Work
from backups.rpc.messages import status_of
from backups.rpc.refusals import StatusError
from tasks import transitions

LONGEST_KEY = 200
LONGEST_DBNAME = 63


def start(caller: Caller, request: pb.BackupRequest) -> Backup:
    plan = finding.plan(caller, request)
    return backup_again(plan.start(by=caller.user, idempotency_key=_key(request)))


def backup_again(backup: Backup) -> Backup:
    return Backup.objects.select_related(*finding.BESIDE).get(pk=backup.pk)


def followed(caller: Caller, request: pb.BackupRequest) -> Work:
    """The work of that id; without one the newest backup of the database."""
    if request.backup_id:
        return finding.work(caller, request.backup_id)
    base = finding.database(caller, name=request.database, team=request.team)
    return finding.newest(caller, base)


def job_of(work: Work) -> str:
    kinds = {Backup: "backup", Restore: "restore", Proof: "drill"}
    return kinds[type(work)]


def cancel(caller: Caller, raw: str) -> pb.Standing:
    work = finding.work(caller, raw)
    caller.must(Verb.RUN, work)
    if work.task is None or not transitions.cancel(work.task, by=caller.user):
        raise StatusError.precondition(f"It has ended already: {status_of(_again(work))}.")
    work = _again(work)
    asked = work.task is not None and work.task.cancel_requested_at is not None
    return pb.Standing(id=str(work.pk), status=status_of(work), cancel_requested=asked)


def restore(caller: Caller, request: pb.RestoreRequest) -> Restore:
    backup = finding.backup(caller, request.backup_id)
    caller.must(Verb.RUN, backup)
    if not 0 < len(request.into) <= LONGEST_DBNAME:
        raise StatusError.invalid(
            f"Say which database to make, in `into`: 1 to {LONGEST_DBNAME} characters."
        )
    target = backup.database
    if request.target:
        target = finding.database(caller, name=request.target, team=backup.team.name)
    begun = backup.restore(
        by=caller.user,
        target=target,
        dbname=request.into,
        replace=request.replace,
        idempotency_key=_key(request),
    )
    return restore_again(begun)


def prove(caller: Caller, request: pb.VerifyRequest) -> Proof:
    backup = finding.backup(caller, request.backup_id)
    caller.must(Verb.RUN, backup)
    return proof_again(backup.prove(by=caller.user, idempotency_key=_key(request)))


def restore_again(restore: Restore) -> Restore:
    return Restore.objects.select_related("target", "task").get(pk=restore.pk)


def proof_again(proof: Proof) -> Proof:
    return Proof.objects.select_related("task").get(pk=proof.pk)


def _key(request: Any) -> str | None:
    key: str = request.idempotency_key
    if len(key) > LONGEST_KEY:
        raise StatusError.invalid(f"`idempotency_key` has at most {LONGEST_KEY} characters.")
    return key or None


def _again(work: Work) -> Any:
    return type(work).objects.select_related("task").get(pk=work.pk)
