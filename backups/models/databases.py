"""A database that is backed up or restored into, and how to reach it."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models

from accounts.fields import EncryptedTextField
from accounts.models import Teamwork
from backups.models.names import validate_name

SSLMODES = ("", "disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class Database(Teamwork):
    """One database on one server. The password is opened in `backups.recipes` alone."""

    class Engine(models.TextChoices):
        POSTGRES = "postgres", "PostgreSQL"

    name = models.CharField(max_length=63, validators=[validate_name])
    engine = models.CharField(max_length=20, choices=Engine, default=Engine.POSTGRES)
    host = models.CharField(
        max_length=255, default="127.0.0.1", help_text="Host name, address or socket directory"
    )
    port = models.PositiveIntegerField(default=5432)
    dbname = models.CharField("database name", max_length=63, help_text="Name on the server")
    username = models.CharField(max_length=63)
    password = EncryptedTextField(blank=True)
    sslmode = models.CharField(max_length=20, blank=True, help_text="libpq's sslmode, if any")
    queue = models.CharField(
        max_length=63, default="default", help_text="Workers of this queue can reach the server"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="backups_database_once"),
        ]

    def clean(self) -> None:
        """Every door calls it: the port is one, and `sslmode` a word that libpq knows."""
        faults = {}
        if self.port is not None and not 0 < self.port < 65536:
            faults["port"] = "Use 1 to 65535."
        if self.sslmode not in SSLMODES:
            faults["sslmode"] = f"Use one of {', '.join(SSLMODES[1:])}, or leave it empty."
        if faults:
            raise ValidationError(faults)

    def __str__(self) -> str:
        return self.name
