"""The job `webhook`: one delivery. What fails is recorded, and harms no task that it tells of."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from django.db.models import F
from django.utils import timezone

from tasks.errors import JobError, PermanentError
from tasks.models import Task, Webhook, WebhookDelivery
from tasks.registry import Context, Job, register
from tasks.retries import Backoff
from tasks.webhooks import TEST, posting, signing

JOB = "webhook"
LONGEST_REST = 600.0
GONE = 410
State = WebhookDelivery.State


def run(context: Context) -> Mapping[str, Any]:
    """Send it, unless an attempt before this one did."""
    found = WebhookDelivery.objects.select_related("webhook")
    delivery = found.filter(pk=context.args["delivery"]).first()
    if delivery is None:
        return {"state": "gone"}
    if delivery.state != State.SENT:
        _note(delivery, tries=F("tries") + 1, state=State.PENDING)
        try:
            status = _send(delivery)
        except JobError as error:
            _note(delivery, error=str(error)[:500])
            raise
        _note(delivery, state=State.SENT, status_code=status, error="", delivered_at=timezone.now())
    return {"delivery": str(delivery.pk), "state": State.SENT.value}


def _send(delivery: WebhookDelivery) -> int:
    """The status, one of the two hundreds. Raises JobError."""
    webhook = delivery.webhook
    if not webhook.enabled and delivery.type != TEST:
        raise PermanentError("The webhook is switched off.")
    body = json.dumps(delivery.body, separators=(",", ":")).encode()
    headers = signing.headers(webhook.secrets(), f"msg_{delivery.pk.hex}", int(time.time()), body)
    _note(delivery, status_code=None)
    status, retry_after = posting.post(webhook.url.reveal(), headers, body)
    _note(delivery, status_code=status)
    if 200 <= status < 300:
        return status
    raise _refused(webhook, status, retry_after)


def _refused(webhook: Webhook, status: int, retry_after: str) -> JobError:
    sentence = f"{webhook.place} answered {status}."
    if status == GONE:
        Webhook.objects.filter(pk=webhook.pk).update(enabled=False)
        return PermanentError(sentence, remedy="It wants no more; the webhook was switched off.")
    if 300 <= status < 400:
        return PermanentError(
            sentence, remedy="No redirect is followed: put the address it leads to."
        )
    wait = min(LONGEST_REST, float(retry_after)) if retry_after.isdecimal() else None
    return JobError(sentence, retry_after=wait)


def _note(delivery: WebhookDelivery, **changes: Any) -> None:
    WebhookDelivery.objects.filter(pk=delivery.pk).update(**changes)


def ended(task: Task) -> None:
    """What was not delivered in all tries is recorded as such."""
    why = task.error or f"It was {task.get_status_display().lower()}."
    WebhookDelivery.objects.filter(sending=task, state=State.PENDING).update(
        state=State.FAILED, error=why[:500]
    )


register(
    Job(
        name=JOB,
        run=run,
        title="Webhook",
        ended=ended,
        max_attempts=5,
        backoff=Backoff(first=2.0, factor=5.0, most=300.0, jitter=0.1),
        deadline_seconds=60,
    )
)
