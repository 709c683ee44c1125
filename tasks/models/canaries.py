"""Proof that work flows: a small task is sent through each queue, and its return is dated."""

from __future__ import annotations

from django.db import models


class Canary(models.Model):
    """One queue's canary, the last that was sent and the last that came back."""

    queue = models.CharField(max_length=63, unique=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    returned_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True, help_text="From being sent to having run")

    class Meta:
        ordering = ["queue"]
        verbose_name_plural = "canaries"

    def __str__(self) -> str:
        return self.queue
