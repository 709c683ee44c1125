"""Periodic housekeeping, so that each due moment is somebody's, once over all machines."""

from __future__ import annotations

from django.db import models


class Chore(models.Model):
    """One periodic function: whoever moves `due_at` on, by compare-and-swap, has it to do."""

    name = models.CharField(max_length=200, unique=True)
    due_at = models.DateTimeField()
    by = models.CharField(max_length=200, blank=True, help_text="Who did it last")
    began_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True, help_text="It took; empty while it runs")
    error = models.CharField(max_length=200, blank=True, help_text="Of the last time, by its type")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
