"""A place where backups are kept."""

from __future__ import annotations

from django.db import models

from accounts.fields import EncryptedTextField
from accounts.models import Teamwork
from backups import storages
from backups.models.names import validate_name


class Destination(Teamwork):
    """A django-storages backend and its settings; `backups.storages` knows what each kind wants."""

    name = models.CharField(max_length=63, validators=[validate_name])
    kind = models.CharField(max_length=20, choices=storages.choices, default=storages.USUAL)
    options = models.JSONField(default=dict, blank=True, help_text="What the kind wants to know")
    secret = EncryptedTextField(blank=True, help_text="What the kind wants to keep secret")
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
