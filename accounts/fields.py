"""A model field whose text is encrypted at rest, and the wrapper it is read as."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


class UnreadableSecretError(Exception):
    """What is stored was encrypted with another ENCRYPTION_KEY."""


class Secret:
    """A secret in hand: shows as dots wherever it is printed; `reveal()` opens it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "••••••" if self._value else ""

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> Any:
        raise TypeError("A secret is not to be pickled.")


def _fernet() -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"backdrop field v1").derive(
        settings.ENCRYPTION_KEY.encode()
    )
    return Fernet(base64.urlsafe_b64encode(key))


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Text that is encrypted in the database and read as a `Secret`. Assign `str` or `Secret`."""

    def from_db_value(
        self, value: str | None, expression: Any, connection: BaseDatabaseWrapper
    ) -> Secret | None:
        return None if value is None else self._open(value)

    def _open(self, stored: str) -> Secret:
        if not stored:
            return Secret("")
        try:
            return Secret(_fernet().decrypt(stored.encode()).decode())
        except InvalidToken:
            raise UnreadableSecretError(
                f"{self.model._meta.label}.{self.name} was encrypted with another ENCRYPTION_KEY; "
                "start Backdrop with the key it was stored with."
            ) from None

    def to_python(self, value: Any) -> Secret | None:
        if value is None or isinstance(value, Secret):
            return value
        return Secret(str(value))

    def get_prep_value(self, value: Any) -> str | None:
        secret = self.to_python(value)
        if secret is None:
            return None
        return _fernet().encrypt(secret.reveal().encode()).decode() if secret else ""

    def value_to_string(self, obj: models.Model) -> str:
        return ""
