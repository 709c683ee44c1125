"""The job `notify`: one delivery to its channel. What fails is recorded, and harms no backup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import F
from django.utils import timezone

from backups.models import Channel, Delivery
from backups.notifications import apprise_service, slack_service
from tasks.errors import JobError
from tasks.models import Task
from tasks.registry import Context

State = Delivery.State
SERVICES = {
    Channel.Kind.SLACK: slack_service.send,
    Channel.Kind.APPRISE: apprise_service.send,
}


def run(context: Context) -> Mapping[str, Any]:
    """Send it, unless an attempt before this one did."""
    found = Delivery.objects.select_related("channel").filter(pk=context.args["delivery"])
    delivery = found.first()
    if delivery is None:
        return {"state": "gone"}
    if delivery.state != State.SENT:
        found.update(tries=F("tries") + 1, state=State.PENDING)
        _send(delivery)
        found.update(state=State.SENT, error="", sent_at=timezone.now())
    return {"delivery": delivery.pk, "state": State.SENT.value}


def _send(delivery: Delivery) -> None:
    channel = delivery.channel
    try:
        SERVICES[Channel.Kind(channel.kind)](
            channel.address.reveal(), delivery.title, delivery.text
        )
    except JobError as error:
        Delivery.objects.filter(pk=delivery.pk).update(error=str(error)[:500])
        raise


def ended(task: Task) -> None:
    """What was not delivered in all tries is recorded as such."""
    why = task.error or f"It was {task.get_status_display().lower()}."
    Delivery.objects.filter(task=task, state=State.PENDING).update(
        state=State.FAILED, error=why[:500]
    )
