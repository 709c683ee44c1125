"""What a schedule's moment starts: a backup through the gRPC door, or a drill of the newest one."""

from __future__ import annotations

from uuid import UUID

from backups.models import Backup, Firing, RefusedError, Schedule
from backups.rpc import client
from tasks.errors import IdempotencyConflictError
from tasks.models import Task

__all__ = ["RefusedError", "start"]

PATIENCE = 5.0
DIRECTLY = "Started directly, since gRPC did not answer."


def start(firing: Firing) -> tuple[UUID | None, str]:
    """The id of the run's task, and a note. Again: the same task. Raises RefusedError."""
    if firing.schedule.action == Schedule.Action.DRILL:
        return _drill(firing), ""
    plan = firing.schedule.plan
    try:
        backup_id = client.run_backup(plan, idempotency_key=firing.key, patience=PATIENCE)
    except client.UnreachableError:
        # With the same key and as the same user: where the call did arrive, it is that backup.
        backup = plan.start(by=client.asker(plan), idempotency_key=firing.key)
        return backup.task_id, DIRECTLY
    return Backup.objects.values_list("task_id", flat=True).filter(pk=backup_id).first(), ""


def _drill(firing: Firing) -> UUID | None:
    plan = firing.schedule.plan
    newest = plan.backups.filter(completed_at__isnull=False).order_by("-completed_at").first()
    by = client.asker(plan)
    if newest is None:
        raise RefusedError(
            f"The plan {plan.name} has no complete backup to prove.", remedy="Make one first."
        )
    try:
        return newest.prove(by=by, idempotency_key=firing.key).task_id
    except IdempotencyConflictError:  # another daemon proved the one that was newest then
        same = Task.objects.filter(team=plan.team, owner=by, idempotency_key=firing.key)
        return same.values_list("pk", flat=True).first()
