"""What a kind of destination is: the options it wants, and how its store is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from backups.pipeline.errors import StorageError
from backups.pipeline.ports import ObjectStore

Options = Mapping[str, Any]
KEPT = "••••••"
"""Stands for a secret that is stored already, and was looked at then."""


class OptionsError(StorageError):
    """A destination's settings make no sense; `fields` has a sentence for each that is wrong.

    The key `secret` stands for the destination's secret, everything else for an option.
    """

    permanent = True

    def __init__(self, fields: Mapping[str, str]) -> None:
        told = " ".join(f"{name}: {sentence}" for name, sentence in fields.items())
        super().__init__(f"The destination's settings make no sense. {told}")
        self.fields = dict(fields)


def _anything(secret: str) -> str:
    """For kinds whose secrets have no form."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of destination."""

    name: str
    label: str
    schema: Mapping[str, Any]
    """JSON schema of `Destination.options`. A property's `refusal` is what a person is told when
    the value does not fit; `default` fills what is left out."""
    credential: str
    """What the secret is called; empty where there is none."""
    without_credential: str = ""
    """What is so where the secret is left out; empty where it is needed."""
    refusal: Callable[[str], str] = _anything
    """What is wrong with a secret, in a sentence that repeats nothing of it; or empty."""
    build: Callable[[Options, str], ObjectStore]
    """Makes the store; opens no connection."""
    address: Callable[[Options], str]
    """The place as people name it, as the store describes it; its options may be half right."""
    fetch: Callable[[Options, str, str], str]
    """The shell's command that gets the object of a key into a file with public tools alone."""
    product: Callable[[Options], str] | None = None
    """What people call a place with those options that has no name of its own; None: `label`."""
    guarded: tuple[str, ...] = ()
    """Options that say where the secret is sent, or as whom: with another value of one of them a
    stored secret has to be typed again."""
    variables: Mapping[str, str]
    """Which variable a first start takes an option from; `secret` stands for the secret."""
    filed: frozenset[str] = frozenset()
    """Options that, as the secret, may be in a file named by NAME_FILE."""

    def in_file(self, option: str) -> bool:
        """Whether the variable of that option may name a file instead, as NAME_FILE."""
        return option == "secret" or option in self.filed

    def called(self, options: Options) -> str:
        """The product, as people know it."""
        return self.product(options) if self.product else self.label

    def options(self, options: Options, secret: str) -> dict[str, Any]:
        """The options with their defaults; raises OptionsError."""
        given = {name: value for name, value in options.items() if value not in (None, "")}
        errors = list(Draft202012Validator(self.schema).iter_errors(given))
        fields = {name: told for error in errors for name, told in self._told(error)}
        if self.credential and not self.without_credential and not secret:
            fields["secret"] = f"Enter the {self.credential.lower()}."
        elif secret not in ("", KEPT) and (told := self.refusal(secret)):
            fields["secret"] = told
        if fields:
            raise OptionsError(fields)
        return {**self._defaults(), **given}

    def _told(self, error: ValidationError) -> list[tuple[str, str]]:
        """Field and sentence for each fault; never the value, which may be a misplaced secret."""
        if error.validator == "required":
            return [(name, "This is needed.") for name in self._missing(error)]
        if error.validator == "additionalProperties":
            known = ", ".join(self.schema["properties"])
            unknown = set(error.instance) - set(self.schema["properties"])
            return [(name, f"There is no such option; known are {known}.") for name in unknown]
        name = str(error.absolute_path[0]) if error.absolute_path else "options"
        return [(name, self.schema["properties"].get(name, {}).get("refusal", "Not usable."))]

    def _missing(self, error: ValidationError) -> list[str]:
        return [name for name in self.schema["required"] if name not in error.instance]

    def _defaults(self) -> dict[str, Any]:
        properties = self.schema["properties"].items()
        return {name: told["default"] for name, told in properties if "default" in told}
