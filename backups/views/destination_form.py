"""The form of a destination, put together from what each kind of storage says it wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms

from backups import addresses, storages
from backups.models import Destination
from backups.views.forms import TeamForm, kept_or_new, secret_field


class DestinationForm(TeamForm):
    """A destination. Each kind brings its own fields, named `<kind>-<option>`; those of the chosen
    kind become its options."""

    class Meta:
        model = Destination
        fields = ("name", "kind")
        help_texts: ClassVar = {"name": "Letters, digits, dots, dashes, underscores"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].widget.attrs["data-shows"] = "kind"
        for kind in storages.KINDS.values():
            same = self.instance.kind == kind.name
            for name, told in kind.schema["properties"].items():
                value = self.instance.options.get(name) if same else told.get("default")
                self.fields[f"{kind.name}-{name}"] = _option_field(told, value)
            if kind.credential:
                field = secret_field(kind.credential)
                stored = same and self.instance.secret
                field.help_text = kept_or_new(stored)
                if kind.without_credential and not stored:
                    field.help_text += f". {kind.without_credential}"
                self.fields[f"{kind.name}-secret"] = field

    def groups(self) -> list[tuple[storages.Kind, list[forms.BoundField]]]:
        """The kinds, each with its fields."""
        return [
            (kind, [self[name] for name in self.fields if name.startswith(f"{kind.name}-")])
            for kind in storages.KINDS.values()
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        kind = cleaned.get("kind")
        if kind is None:
            return cleaned
        options = self._options(kind)
        secret = self._secret(kind, options)
        try:
            storages.validated(kind, options, secret if isinstance(secret, str) else storages.KEPT)
        except storages.OptionsError as error:
            for name, sentence in error.fields.items():
                field = f"{kind}-{name}"
                self.add_error(field if field in self.fields else None, sentence)
        self.instance.options, self.instance.secret = options, secret
        return cleaned

    def _options(self, kind: str) -> dict[str, Any]:
        names = storages.kind_of(kind).schema["properties"]
        given = {name: self.cleaned_data.get(f"{kind}-{name}") for name in names}
        return {name: value for name, value in given.items() if value not in (None, "")}

    def _secret(self, kind: str, options: dict[str, Any]) -> Any:
        """What was typed, else what is stored, unless that would go to another address."""
        field = f"{kind}-secret"
        if field not in self.fields:
            return ""
        typed, stored = self.cleaned_data.get(field), self.instance.secret
        if typed or not stored:
            return typed or ""
        if addresses.moves_destination(self.instance, {"kind": kind, "options": options}):
            self.add_error(field, addresses.TYPE_AGAIN)
        return stored


def _option_field(told: Mapping[str, Any], value: Any) -> forms.Field:
    """The field for one property of a kind's schema; the kind itself refuses wrong values."""
    common = {
        "label": told.get("title"),
        "help_text": told.get("description", ""),
        "required": False,
        "initial": value,
    }
    if told.get("type") == "boolean":
        choices = [("", "As usual there"), ("true", "Yes"), ("false", "No")]
        common["initial"] = {True: "true", False: "false"}.get(value, "")
        return forms.TypedChoiceField(
            choices=choices, coerce=lambda word: word == "true", empty_value=None, **common
        )
    return forms.CharField(
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}), **common
    )
