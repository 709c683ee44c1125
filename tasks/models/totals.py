"""What has happened, counted: figures that outlive the rows they were counted from."""

from __future__ import annotations

from django.db import models


class Total(models.Model):
    """How often one thing happened; raised through `tasks.totals`."""

    what = models.CharField(max_length=50, help_text="Such as: attempt")
    about = models.CharField(max_length=200, blank=True, help_text="Such as the kind of job")
    how = models.CharField(max_length=50, blank=True, help_text="Such as the outcome")
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["what", "about", "how"], name="tasks_total_once"),
        ]

    def __str__(self) -> str:
        return f"{self.what} {self.about} {self.how}: {self.count}"
