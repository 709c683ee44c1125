"""A database that is backed up or restored into, and how to reach it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from accounts.fields import EncryptedTextField
from accounts.models import Teamwork
from backups.models.names import validate_name
from backups.pipeline import engines
from backups.pipeline.engines import ENGINES


class Database(Teamwork):
    """One database on one server. The password is opened in `backups.recipes` alone."""

    name = models.CharField(max_length=63, validators=[validate_name])
    engine = models.CharField(max_length=20, choices=engines.choices, default=engines.USUAL)
    host = models.CharField(
        max_length=255, default="127.0.0.1", help_text="Host name, address or path of a socket"
    )
    port = models.PositiveIntegerField(blank=True, help_text="Left out: the engine's usual one")
    dbname = models.CharField("database name", max_length=63, help_text="Name on the server")
    username = models.CharField(max_length=63)
    password = EncryptedTextField(blank=True)
    sslmode = models.CharField(
        max_length=20, blank=True, help_text="How TLS is used, in the engine's own words"
    )
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
        """Every door calls it: the port is one, `sslmode` a word that the engine knows, and backups
        stay those of the engine they were made of."""
        if self.engine not in ENGINES:
            return  # the field's own choices say so
        self._fill_port()
        faults = {}
        words = ENGINES[self.engine].tls_modes
        if not 0 < self.port < 65536:
            faults["port"] = "Use 1 to 65535."
        if self.sslmode and self.sslmode not in words:
            faults["sslmode"] = f"Use one of {', '.join(words)}, or leave it empty."
        if (before := self._engine_before()) != self.engine and self.backups.exists():
            label = dict(engines.choices()).get(before, before)
            faults["engine"] = f"It has backups of {label}; register another database."
        if faults:
            raise ValidationError(faults)

    def save(self, *args: Any, **options: Any) -> None:
        self._fill_port()
        super().save(*args, **options)

    @property
    def default_port(self) -> int:
        return ENGINES[self.engine].default_port

    def _fill_port(self) -> None:
        unset: Any = self.port
        if unset is None:
            self.port = self.default_port

    def _engine_before(self) -> str:
        stored = Database.objects.filter(pk=self.pk).values_list("engine", flat=True).first()
        return stored or self.engine

    def __str__(self) -> str:
        return self.name
