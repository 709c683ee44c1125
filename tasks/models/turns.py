"""Turns at a concurrency key: while a task runs, its row here holds a place at the key."""

from __future__ import annotations

from django.db import models


class Turn(models.Model):
    """A running task's place at its key: made with the claim, gone with the attempt's end.

    Places are numbered from 0 to below the key's limit, so that the unique constraint, and no
    count that others may outrun, keeps too many from running at once.
    """

    task = models.OneToOneField(
        "tasks.Task", on_delete=models.CASCADE, primary_key=True, related_name="turn"
    )
    key = models.CharField(max_length=200)
    place = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "place"], name="tasks_turn_once"),
        ]

    def __str__(self) -> str:
        return f"{self.key} #{self.place}"
