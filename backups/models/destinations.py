"""A place where backups are kept."""

from __future__ import annotations

from django.db import models

from accounts.fields import EncryptedTextField
from accounts.models import Teamwork
from backups import storages
from backups.models.names import validate_name


class Destination(Teamwork):
    """A django-storages backend and its settings; `backups.storages` knows what each kind wants."""

    class Kind(models.TextChoices):
        LOCAL = "local", "Local folder"
        S3 = "s3", "S3 or compatible"
        GCS = "gcs", "Google Cloud Storage"

    name = models.CharField(max_length=63, validators=[validate_name])
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.LOCAL)
    options = models.JSONField(
        default=dict,
        blank=True,
        help_text=(
            "local: {folder}; s3: {bucket, prefix, endpoint, region, path_style, access_key}; "
            "gcs: {bucket, prefix, endpoint, payer}"
        ),
    )
    secret = EncryptedTextField(
        blank=True, help_text="s3: the secret key; gcs: a service account's key, as JSON"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="backups_destination_once"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def address(self) -> str:
        """`s3://bucket/prefix/`, or a folder: the place as people name it."""
        return storages.kind_of(self.kind).address(self.options)
