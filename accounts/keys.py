"""The keys that secrets are encrypted with, and whether they are those of this database."""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from accounts.models import KeyFingerprint

TAG = "secrets"
"""For `requires_system_checks` of commands that want this check alone."""


class WrongKeyError(ImproperlyConfigured):
    """ENCRYPTION_KEY is not the one that this database's secrets were encrypted with."""

    def __init__(self, stored: KeyFingerprint) -> None:
        super().__init__(
            "ENCRYPTION_KEY is not the key that this database's secrets are encrypted with: the "
            f"key given has the fingerprint {fingerprint()}, the one in use since "
            f"{stored.stored_at:%Y-%m-%d} has {stored.fingerprint}. Start Backdrop with that key "
            "(made at first start, it is the file var/secrets/encryption_key)."
        )


def cipher() -> MultiFernet:
    """Encrypts with the first key and reads with any of them, so that keys can be changed."""
    return MultiFernet([_fernet(key) for key in _keys()])


def fingerprint() -> str:
    """Names the key in use; nothing of the key can be learnt from it."""
    return _derived(_keys()[0], b"backdrop key fingerprint v1").hex()[:16]


def remember() -> None:
    """Store the key's fingerprint if there is none yet; raises WrongKeyError where it differs."""
    KeyFingerprint.objects.get_or_create(
        pk=KeyFingerprint.ONLY, defaults={"fingerprint": fingerprint()}
    )
    check()


def check() -> None:
    """Raise WrongKeyError unless the key in use is this database's, or there is none yet."""
    stored = KeyFingerprint.objects.filter(pk=KeyFingerprint.ONLY).first()
    if stored is not None and stored.fingerprint != fingerprint():
        raise WrongKeyError(stored)


def check_at_start(**options: object) -> list[checks.CheckMessage]:
    """System check, so that no command that works on the database starts with a wrong key.

    A connection it had to open is closed again: some commands fork afterwards.
    """
    opened = connection.connection is None
    try:
        check()
    except WrongKeyError as error:
        return [checks.Critical(str(error), id="accounts.E001")]
    except DatabaseError:
        return []  # not migrated, or not there: whoever needs it says so better
    finally:
        if opened:
            connection.close()
    return []


def _keys() -> list[str]:
    return [settings.ENCRYPTION_KEY]


@lru_cache(maxsize=8)
def _fernet(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(_derived(key, b"backdrop field v1")))


def _derived(key: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key.encode())
