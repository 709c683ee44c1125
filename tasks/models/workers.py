"""The worker processes' leaders that are alive, by their own heartbeat."""

from __future__ import annotations

from django.db import models


class Worker(models.Model):
    """One `runworkers` (or `rundaemon`) on one machine; alive while its heartbeat is fresh."""

    class Kind(models.TextChoices):
        WORKER = "worker", "Worker"
        DAEMON = "daemon", "Daemon"

    name = models.CharField(max_length=200, unique=True, help_text="host:pid:start")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.WORKER)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    queues = models.JSONField(default=list, blank=True)
    capacity = models.PositiveIntegerField(default=0, help_text="Attempts at once")
    started_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField()
    drain_asked_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it shall claim nothing more and then end"
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
