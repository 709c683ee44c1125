"""From the end of a task to requests on their way: a delivery and a task for each webhook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from tasks import queue, registry
from tasks.live import report
from tasks.models import Task, Webhook, WebhookDelivery
from tasks.webhooks import TEST, sending

if TYPE_CHECKING:
    from accounts.models import User


@registry.follows
def task_ended(task: Task) -> None:
    """Called after each end of a task on a file; the same end again tells nobody twice."""
    for webhook in Webhook.objects.filter(team=task.team_id, enabled=True).defer("url"):
        if not webhook.jobs or task.job in webhook.jobs:
            kind = f"task.{task.status}"
            _deliver(webhook, kind, report.status_of(task, None), task=task)


def test(webhook: Webhook, *, by: User | None) -> WebhookDelivery:
    """Send a message that means nothing, enabled or not."""
    return _deliver(webhook, TEST, {"webhook": webhook.name}, by=by)


def _deliver(
    webhook: Webhook,
    kind: str,
    data: Mapping[str, Any],
    *,
    task: Task | None = None,
    by: User | None = None,
) -> WebhookDelivery:
    at = task.finished_at if task is not None and task.finished_at else timezone.now()
    body = {"type": kind, "timestamp": report.moment(at), "data": dict(data)}
    told = {"webhook": webhook, "task": task, "seq": task.seq if task else 0}
    made = {"type": kind, "body": body}
    with transaction.atomic():
        if task is None:
            delivery, fresh = WebhookDelivery.objects.create(**told, **made), True
        else:
            delivery, fresh = WebhookDelivery.objects.get_or_create(**told, defaults=made)
        if fresh:
            delivery.sending = queue.push(
                job=sending.JOB,
                team=webhook.team,
                owner=by,
                title=f"Tell {webhook.name}: {kind}"[:200],
                args={"delivery": str(delivery.pk)},
            )
            delivery.save(update_fields=["sending"])
    return delivery
