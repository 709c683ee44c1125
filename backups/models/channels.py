"""Who is told what came of backups: channels, and what was delivered to them."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import models

from accounts.fields import EncryptedTextField, Secret
from accounts.models import Teamwork
from backups.models.names import validate_name


class Topic(models.TextChoices):
    """What a channel can be told of."""

    SUCCESS = "success", "Backup completed"
    FAILURE = "failure", "Backup or drill failed"
    MISSED = "missed", "Schedule missed"
    PROOF_BAD = "proof_bad", "Backup proved bad"


def all_topics() -> list[str]:
    return list(Topic.values)


class Channel(Teamwork):
    """An address that is told. The address is a secret: who knows it can write there."""

    class Kind(models.TextChoices):
        SLACK = "slack", "Slack webhook"
        APPRISE = "apprise", "Apprise address"

    name = models.CharField(max_length=63, validators=[validate_name])
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.SLACK)
    address = EncryptedTextField(
        help_text="A Slack webhook, or any address that Apprise knows (mailto://, ntfy://, …)"
    )
    events = models.JSONField(
        default=all_topics, blank=True, help_text="Of success, failure, missed, proof_bad"
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "notification channel"
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="backups_channel_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Every door calls it: events that there are, an address that can be written to."""
        known = set(Topic.values)
        told = self.events
        if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
            raise ValidationError({"events": "Give a list of names."})
        if unknown := sorted(set(told) - known):
            raise ValidationError(
                {"events": f"“{unknown[0][:40]}” is none of {', '.join(Topic.values)}."}
            )
        self.events = [topic for topic in Topic.values if topic in told]
        self._clean_address()

    def _clean_address(self) -> None:
        address = self.address.reveal().strip() if isinstance(self.address, Secret) else ""
        if not address:
            raise ValidationError({"address": "Give the address to write to."})
        if self.kind == self.Kind.SLACK and not _is_web(address):
            raise ValidationError(
                {"address": "A Slack webhook is https://hooks.slack.com/services/…"}
            )
        if self.kind == self.Kind.APPRISE and not _apprise_knows(address):
            raise ValidationError({"address": "Apprise knows no service by this address."})
        self.address = Secret(address)

    def switch(self, *, on: bool) -> None:
        """One that is off is told nothing, and nothing is made up for when it is on again."""
        self.enabled = on
        self.save(update_fields=["enabled"])

    @property
    def topics(self) -> list[str]:
        """What it is told of, for people."""
        return [str(topic.label) for topic in Topic if topic in self.events]

    @property
    def place(self) -> str:
        """Where it leads, without what is secret in it: the host of a webhook, else the scheme."""
        address = self.address.reveal()
        if self.kind == self.Kind.SLACK:
            return urlsplit(address).hostname or ""
        return f"{address.partition('://')[0]}://"


class Delivery(models.Model):
    """One message to one channel. The same event of the same thing is told once."""

    class State(models.TextChoices):
        PENDING = "pending", "Being sent"
        SENT = "sent", "Sent"
        FAILED = "failed", "Not delivered"

    team_path: ClassVar[str] = "channel__team"

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=10, help_text="One of the topics, or test")
    subject = models.CharField(max_length=100, help_text="What it is about: told once")
    title = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    tries = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)
    task = models.ForeignKey(
        "tasks.Task", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "event", "subject"], name="backups_delivery_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} to {self.channel}"


def _is_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _apprise_knows(address: str) -> bool:
    from backups.notifications import apprise_service  # takes half a second to load

    return apprise_service.knows(address)
