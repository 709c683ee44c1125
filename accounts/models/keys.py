"""Which ENCRYPTION_KEY this database's secrets were encrypted with."""

from __future__ import annotations

from django.db import models


class KeyFingerprint(models.Model):
    """The one row that names the key without telling it; `accounts.keys` compares at start."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    fingerprint = models.CharField(max_length=32)
    stored_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="accounts_keyfingerprint_only"),
        ]

    def __str__(self) -> str:
        return self.fingerprint
