"""Which programs are told that a task has ended, and what became of telling them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts.fields import EncryptedTextField, Secret
from accounts.models import Teamwork
from tasks import registry
from tasks.webhooks import addresses, signing

OLD_SECRET_LIVES = timedelta(hours=24)


class Webhook(Teamwork):
    """An address that is told. What stands behind its host may be secret, as some keep a key there.

    After `rotate` the old secret signs beside the new one for a day.
    """

    name = models.CharField(max_length=63)
    url = EncryptedTextField(help_text="Where to send: https://…")
    secret = EncryptedTextField(default=signing.new_secret, editable=False)
    old_secret = EncryptedTextField(default="", blank=True, editable=False)
    rotated_at = models.DateTimeField(null=True, blank=True, editable=False)
    jobs = models.JSONField(
        default=list, blank=True, help_text="Only tasks of these jobs; empty: all that take files"
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="tasks_webhook_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Every door calls it: an address that may be told, jobs that there are."""
        url = self.url.reveal().strip() if isinstance(self.url, Secret) else ""
        try:
            addresses.Target.of(url)
        except addresses.RefusedError as error:
            raise ValidationError({"url": str(error)}) from None
        self.url = Secret(url)
        if not isinstance(self.jobs, list) or not all(isinstance(one, str) for one in self.jobs):
            raise ValidationError({"jobs": "Give a list of names."})
        known = registry.names_with_intake()
        if unknown := sorted(set(self.jobs) - set(known)):
            raise ValidationError({"jobs": f"“{unknown[0][:40]}” is none of {', '.join(known)}."})
        self.jobs = sorted(set(self.jobs))

    @property
    def place(self) -> str:
        """Its host, without what may be secret behind it."""
        try:
            return addresses.Target.of(self.url.reveal(), allow_private=True).netloc
        except addresses.RefusedError:
            return ""

    def secrets(self) -> list[str]:
        """All that sign now, the newest first."""
        found = [self.secret.reveal()]
        fresh = self.rotated_at and self.rotated_at > timezone.now() - OLD_SECRET_LIVES
        if fresh and self.old_secret:
            found.append(self.old_secret.reveal())
        return found

    def rotate(self) -> str:
        """A new secret, to be shown this once."""
        self.old_secret = self.secret
        self.secret = Secret(signing.new_secret())
        self.rotated_at = timezone.now()
        self.save(update_fields=["secret", "old_secret", "rotated_at"])
        return self.secret.reveal()


class WebhookDelivery(models.Model):
    """One end of a task, told to one webhook once. A task that a person retries ends again."""

    class State(models.TextChoices):
        PENDING = "pending", "Being sent"
        SENT = "sent", "Sent"
        FAILED = "failed", "Not delivered"

    team_path: ClassVar[str] = "webhook__team"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    task = models.ForeignKey(
        "tasks.Task", null=True, on_delete=models.CASCADE, related_name="deliveries"
    )
    seq = models.PositiveBigIntegerField(default=0, help_text="The task's at that end")
    type = models.CharField(max_length=30, help_text="task.succeeded, webhook.test, …")
    body = models.JSONField(help_text="What is sent, at each try the same")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    tries = models.PositiveIntegerField(default=0)
    status_code = models.PositiveIntegerField(null=True, help_text="Of the last answer")
    error = models.CharField(max_length=500, blank=True)
    sending = models.ForeignKey(
        "tasks.Task", null=True, on_delete=models.SET_NULL, related_name="+", help_text="Sends it"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "task", "seq"], name="tasks_webhookdelivery_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} to {self.webhook}"
