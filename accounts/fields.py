"""A model field whose text is encrypted at rest, the wrapper it is read as, and its form field."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from cryptography.fernet import InvalidToken
from django import forms
from django.core import checks
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from accounts import keys
from accounts.errors import UnreadableSecretError

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    TextField = models.TextField["str | Secret | None", "Secret"]
else:
    TextField = models.TextField

__all__ = ["EncryptedTextField", "Secret", "SecretFormField", "UnreadableSecretError"]

# Names the scheme (Fernet with a key derived by HKDF), so that another one can follow it.
SCHEME = "v1:"


class Secret:
    """A secret in hand: shows as dots wherever it is printed; `reveal()` opens it.

    It can't be pickled or made JSON of, so that it gets into no cache, session or task by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "••••••" if self._value else ""

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce__(self) -> Any:
        raise TypeError("A secret is not to be pickled.")


class SecretInput(forms.PasswordInput):
    """Never shows what is stored, and asks the browser not to offer a login's password."""

    def __init__(self, attrs: dict[str, Any] | None = None, render_value: bool = False) -> None:
        super().__init__({"autocomplete": "new-password", **(attrs or {})}, render_value=False)

    def use_required_attribute(self, initial: Any) -> bool:
        return super().use_required_attribute(initial) and not initial


class SecretFormField(forms.CharField):
    """A password box that is empty at first; left empty, what is stored stays."""

    def prepare_value(self, value: Any) -> Any:
        return "" if isinstance(value, Secret) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data)

    def _clean_bound_field(self, bf: forms.BoundField) -> Any:
        # As FileField does it: the stored value answers for an empty submission.
        if not self.disabled and not bf.data and isinstance(bf.initial, Secret) and bf.initial:
            return bf.initial
        return super()._clean_bound_field(bf)  # type: ignore[misc]


class SecretAttribute(DeferredAttribute):
    """Makes a `Secret` of what is assigned, so that no instance holds the bare text."""

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = self.field.to_python(value)


class EncryptedTextField(TextField):
    """Text that is encrypted in the database and read as a `Secret`. Assign `str` or `Secret`.

    It can't be searched, sorted or made unique by its text. `dumpdata` writes it as empty.
    """

    descriptor_class = SecretAttribute

    def from_db_value(
        self, value: str | None, expression: Any, connection: BaseDatabaseWrapper
    ) -> Secret | None:
        return None if value is None else self._open(value)

    def _open(self, stored: str) -> Secret:
        if not stored:
            return Secret("")
        try:
            if not stored.startswith(SCHEME):
                raise InvalidToken
            return Secret(keys.cipher().decrypt(stored.removeprefix(SCHEME).encode()).decode())
        except InvalidToken:
            raise UnreadableSecretError(
                f"{self.model._meta.label}.{self.name} was encrypted with another ENCRYPTION_KEY; "
                "start Backdrop with the key it was stored with."
            ) from None

    def to_python(self, value: Any) -> Any:
        if value is None or isinstance(value, Secret) or hasattr(value, "resolve_expression"):
            return value
        return Secret(str(value))

    def get_prep_value(self, value: Any) -> Any:
        secret = self.to_python(value)
        if not isinstance(secret, Secret):
            return secret
        if not secret:
            return ""
        return SCHEME + keys.cipher().encrypt(secret.reveal().encode()).decode()

    def get_lookup(self, lookup_name: str) -> Any:
        """Only "is it there at all" can be asked of a ciphertext; the rest is refused by name."""
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        super().validate(value, model_instance)
        if not self.blank and isinstance(value, Secret) and not value:
            raise ValidationError(self.error_messages["blank"], code="blank")

    def value_to_string(self, obj: models.Model) -> str:
        return ""

    def formfield(self, **options: Any) -> Any:
        """A `SecretFormField`; a widget that would show text is replaced, whoever asks for it."""
        widget = options.pop("widget", SecretInput)
        kind = widget if isinstance(widget, type) else type(widget)
        options["widget"] = widget if issubclass(kind, forms.PasswordInput) else SecretInput
        options["strip"] = False
        # TextField would add its own widget, and CharField's handling of null is of no use here.
        return models.Field.formfield(self, **{"form_class": SecretFormField, **options})

    def check(self, **options: Any) -> list[checks.CheckMessage]:
        messages = super().check(**options)
        if self.unique or getattr(self, "db_index", False) or self.primary_key:
            messages.append(
                checks.Error(
                    "An encrypted field can't be unique or indexed: equal texts differ when "
                    "encrypted.",
                    obj=self,
                    id="accounts.E002",
                )
            )
        return messages
