"""From what happened to messages on their way: a delivery and a task for each channel."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from backups.models import Backup, Channel, Delivery, Firing, Proof, Topic
from backups.notifications import words
from backups.notifications.words import Message
from tasks import queue
from tasks.states import Status

if TYPE_CHECKING:
    from accounts.models import Team, User
    from tasks.models import Task

JOB = "notify"
TEST = "test"
BAD = (Proof.Verdict.DIFFERS, Proof.Verdict.BROKEN)


def backup_ended(task: Task) -> None:
    """Called after each end of a backup's task; the same end again tells nobody twice."""
    backup = (
        Backup.objects.select_related("database", "destination", "team").filter(task=task).first()
    )
    if backup is None:
        return
    if task.status == Status.SUCCEEDED:
        tell(backup.team, Topic.SUCCESS, _end(task), words.backup_completed(backup))
    elif task.status == Status.FAILED:
        tell(backup.team, Topic.FAILURE, _end(task), words.backup_failed(backup, task.error))


def drill_ended(task: Task) -> None:
    """A backup that proved bad, a drill that failed, or one that could not decide. What a person
    cancelled is told nobody."""
    proof = (
        Proof.objects.select_related("backup__database", "backup__destination", "team")
        .filter(task=task)
        .first()
    )
    if proof is None:
        return
    if task.status == Status.SUCCEEDED and proof.verdict in BAD:
        tell(proof.team, Topic.PROOF_BAD, _end(task), words.proof_bad(proof))
    elif task.status == Status.SUCCEEDED and proof.verdict == Proof.Verdict.UNDECIDED:
        tell(proof.team, Topic.FAILURE, _end(task), words.drill_undecided(proof))
    elif task.status == Status.FAILED:
        tell(proof.team, Topic.FAILURE, _end(task), words.drill_failed(proof, task.error))


def missed(firing: Firing, *, due: datetime) -> None:
    team = firing.schedule.team
    tell(team, Topic.MISSED, f"firing:{firing.pk}", words.schedule_missed(firing, due))


def test(channel: Channel, *, by: User | None) -> Delivery:
    """Send a message that means nothing, enabled or not."""
    return _deliver(channel, TEST, f"test:{uuid.uuid4()}", words.trial(channel.name), by=by)


def tell(team: Team, topic: Topic, subject: str, message: Message) -> None:
    """Have every channel of the team that wants this told, once."""
    for channel in Channel.objects.filter(team=team, enabled=True).defer("address"):
        if topic in channel.events:
            _deliver(channel, topic, subject, message)


def _deliver(
    channel: Channel, event: str, subject: str, message: Message, *, by: User | None = None
) -> Delivery:
    with transaction.atomic():
        delivery, fresh = Delivery.objects.get_or_create(
            channel=channel,
            event=event,
            subject=subject,
            defaults={"title": message.title, "text": message.text},
        )
        if fresh:
            delivery.task = queue.push(
                job=JOB,
                team=channel.team,
                owner=by,
                title=f"Tell {channel.name}: {message.title}"[:200],
                args={"delivery": delivery.pk},
            )
            delivery.save(update_fields=["task"])
    return delivery


def _end(task: Task) -> str:
    """One end of a task: one that is retried by a person ends again, which is news."""
    return f"task:{task.pk}:{task.attempt}"
