"""What a schedule's moment starts: a backup or a drill of the newest one, through the gRPC door."""

from __future__ import annotations

from uuid import UUID

from backups.models import Backup, Firing, Proof, RefusedError, Schedule
from backups.rpc import client
from tasks.errors import IdempotencyConflictError
from tasks.models import Task

__all__ = ["RefusedError", "start"]

PATIENCE = 5.0
DIRECTLY = "Started directly, since gRPC did not answer."


def start(firing: Firing) -> tuple[UUID | None, str]:
    """The id of the run's task, and a note. Again: the same task. Raises RefusedError."""
    begin = _drill if firing.schedule.action == Schedule.Action.DRILL else _backup
    try:
        return begin(firing)
    except IdempotencyConflictError:  # another daemon proved the backup that was newest then
        team = firing.schedule.plan.team
        same = Task.objects.filter(team=team, owner=client.asker(team), idempotency_key=firing.key)
        return same.values_list("pk", flat=True).first(), ""


# Directly is with the same key and as the same user: where the call did arrive, it is that work.


def _backup(firing: Firing) -> tuple[UUID | None, str]:
    plan, key = firing.schedule.plan, firing.key
    try:
        pk = client.run_backup(plan, idempotency_key=key, patience=PATIENCE)
    except client.UnreachableError:
        return plan.start(by=client.asker(plan.team), idempotency_key=key).task_id, DIRECTLY
    return Backup.objects.values_list("task_id", flat=True).filter(pk=pk).first(), ""


def _drill(firing: Firing) -> tuple[UUID | None, str]:
    newest, key = _newest(firing), firing.key
    try:
        pk = client.verify_backup(newest, idempotency_key=key, patience=PATIENCE)
    except client.UnreachableError:
        return newest.prove(by=client.asker(newest.team), idempotency_key=key).task_id, DIRECTLY
    return Proof.objects.values_list("task_id", flat=True).filter(pk=pk).first(), ""


def _newest(firing: Firing) -> Backup:
    plan = firing.schedule.plan
    complete = plan.backups.filter(completed_at__isnull=False).select_related("team")
    newest = complete.order_by("-completed_at").first()
    if newest is None:
        raise RefusedError(
            f"The plan {plan.name} has no complete backup to prove.", remedy="Make one first."
        )
    return newest
