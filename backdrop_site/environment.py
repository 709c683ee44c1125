"""Reads the settings that users make (the environment and `.env`), and makes secrets at first."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

SECRET_NAMES = ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
MINIMUM_BYTES = 32


def read_secret(name: str, *, folder: Path, generate: bool) -> str:
    """The secret from NAME, else from the file named by NAME_FILE, else made and kept in `folder`.

    Raises ImproperlyConfigured when it is missing and `generate` is False, or too short.
    """
    value = os.environ.get(name, "") or _from_file(name)
    if not value and generate:
        value = _kept(folder / name.lower())
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set. With a database other than SQLite it must be the same on every "
            f"machine: put at least {MINIMUM_BYTES} random bytes into {name} or into a file named "
            f"by {name}_FILE."
        )
    if len(value.encode()) < MINIMUM_BYTES:
        raise ImproperlyConfigured(f"{name} has fewer than {MINIMUM_BYTES} bytes: make it longer.")
    return value


def _from_file(name: str) -> str:
    path = os.environ.get(f"{name}_FILE", "")
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}_FILE: {path} can't be read: {error.strerror}."
        ) from None


def _kept(path: Path) -> str:
    """The secret in `path`; several processes starting at once agree on the first one written."""
    if path.exists():
        return path.read_text().strip()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()
