"""What has ended, counted: figures that outlive the rows they were counted from."""

from __future__ import annotations

from django.db import models

from tasks.states import Status


class Tally(models.Model):
    """How many tasks of one kind ended in one state within one span of seconds, as some processes
    have counted: all shards together are the figure.

    Raised in the transaction that ends a task (see `tasks.tallies`), hence exactly once each.
    """

    job = models.CharField(max_length=100)
    subject = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=20, choices=Status)
    le = models.CharField(
        max_length=20, blank=True, help_text="Upper bound in seconds; empty: it never ran"
    )
    shard = models.PositiveSmallIntegerField(
        default=0,
        help_text="Processes count in rows of their own: none waits for another's commit",
    )
    count = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0.0, help_text="Of all of them together")

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [
            models.UniqueConstraint(
                fields=["job", "subject", "status", "le", "shard"], name="tasks_tally_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job} {self.subject} {self.status} {self.le}: {self.count}"
