"""Proof that work flows: a small task is sent through each queue, and its return is dated.

How and when, `tasks.canaries` says."""

from __future__ import annotations

from django.db import models


class Canary(models.Model):
    """One queue's canaries. `sent_at` is when the last one was sent that has come back, or, while
    none comes back, the first of those."""

    queue = models.CharField(max_length=63, unique=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    returned_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True, help_text="From being sent to having run")

    class Meta:
        ordering = ["queue"]
        verbose_name_plural = "canaries"

    def __str__(self) -> str:
        return self.queue

    @property
    def out(self) -> bool:
        """Whether one was sent and none has come back since."""
        if self.sent_at is None:
            return False
        return self.returned_at is None or self.returned_at < self.sent_at
