"""Failed logins of the last minutes, which `accounts.throttle` counts in every process alike."""

from __future__ import annotations

from django.db import models


class FailedLogin(models.Model):
    """One wrong password. Only digests are kept: people type passwords into the box for names."""

    who = models.CharField(max_length=64, help_text="Digest of the name typed and the address")
    origin = models.CharField(max_length=64, help_text="Digest of the address alone")
    at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [
            models.Index(fields=["who", "at"], name="accounts_failedlogin_who"),
            models.Index(fields=["origin", "at"], name="accounts_failedlogin_origin"),
        ]

    def __str__(self) -> str:
        return f"failed login at {self.at:%H:%M:%S}"
