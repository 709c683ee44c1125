"""The form of a database: each engine has its usual port and its words for TLS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms

from backups import addresses
from backups.models import Database
from backups.pipeline.engine import Engine
from backups.pipeline.engines import ENGINES
from backups.views.forms import TeamForm, kept_or_new, secret_field

TLS = {
    "disable": "Never",
    "allow": "Only where the server insists",
    "prefer": "Where the server offers it",
    "require": "Always",
    "verify-ca": "Always, and check who signed its certificate",
    "verify-full": "Always, and check its certificate and name",
}
"""What the engines' words mean; one that isn't here is shown as it is."""


class EngineSelect(forms.Select):
    """Each choice brings the engine's usual port, which pages.js puts in place."""

    def create_option(self, name: str, value: Any, *args: Any, **options: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **options)
        if engine := ENGINES.get(str(value)):
            option["attrs"]["data-port"] = str(engine.default_port)
        return option


class TlsSelect(forms.Select):
    """Each choice names the engines that know it; pages.js hides those of others."""

    def create_option(self, name: str, value: Any, *args: Any, **options: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **options)
        if value:
            knowing = [engine.name for engine in ENGINES.values() if value in engine.tls_modes]
            option["attrs"]["data-engine"] = " ".join(knowing)
        return option


class DatabaseForm(TeamForm):
    """A database and how to reach it."""

    password = secret_field("Password")
    sslmode = forms.ChoiceField(label="TLS", required=False, widget=TlsSelect)

    class Meta:
        model = Database
        fields = (
            "name",
            "engine",
            "host",
            "port",
            "dbname",
            "username",
            "password",
            "sslmode",
            "queue",
        )
        labels: ClassVar = {"username": "User", "queue": "Workers"}
        help_texts: ClassVar = {
            "name": "What backups of it are called: letters, digits, dots, dashes, underscores",
            "port": "",
            "username": "",
        }
        widgets: ClassVar = {"engine": EngineSelect}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("name", "host", "dbname", "username"):
            self.fields[name].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}
        self.fields["password"].help_text = kept_or_new(self.instance.password)
        engine = ENGINES[str(self.instance.engine)]
        self.fields["engine"].widget.attrs |= {"data-shows": "engine", "data-port-of": "id_port"}
        self.fields["port"].widget.attrs["placeholder"] = str(engine.default_port)
        sslmode = self.fields["sslmode"]
        assert isinstance(sslmode, forms.ChoiceField)  # noqa: S101 - declared above
        sslmode.choices = [("", "As usual: where the server offers it"), *_words()]

    def engines(self) -> Iterable[Engine]:
        """Each has something to say of its accounts."""
        return ENGINES.values()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        moved = self.instance.pk and addresses.moves_database(self.instance, cleaned)
        self.keep_secret("password", moved=bool(moved))
        return cleaned


def _words() -> list[tuple[str, str]]:
    """Of all engines, each once."""
    words = dict.fromkeys(word for engine in ENGINES.values() for word in engine.tls_modes)
    return [(word, TLS.get(word, word)) for word in words]
