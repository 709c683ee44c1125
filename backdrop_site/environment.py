"""Reads the settings that users make (the environment and `.env`), and makes secrets at first."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from dotenv import dotenv_values
from environs import Env, EnvValidationError, validate

SECRET_NAMES = ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
MINIMUM_BYTES = 32
ELSEWHERE = (
    "ADMIN_USERNAME",
    "ADMIN_PASSWORD",
    "ADMIN_PASSWORD_FILE",
    "SECRETS_DIR",
    "DB_URL_FILE",
    "REDIS_URL_FILE",
    "FILE_S3_ACCESS_KEY_FILE",
    "FILE_S3_SECRET_KEY_FILE",
)
"""Settings that others read: `firststart` (beside those of `backups.variables`), and
docker-compose.yml."""
OF_COMPOSE = "COMPOSE_"
"""Begins names that Docker Compose itself reads from the same file."""
UNTOLD = ("REDIS_URL", "FILE_S3_SECRET_KEY")
"""Those whose value may hold a password."""
EXPECTED = {
    "Not a valid integer.": "a whole number",
    "Not a valid number.": "a number",
    "Not a valid boolean.": "true or false",
}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# What `env.int(…, validate=…)` and its like take; the error completes "NAME should be …".
PORT = validate.Range(0, 65535, error="a port number, 0 to 65535")
SOME = validate.Range(1, error="1 or more")
NOT_NEGATIVE = validate.Range(0, error="0 or more")
HOST = validate.Regexp(r"[A-Za-z0-9._:-]*\Z", error="an address or a host name alone")
_REDIS_URL = re.compile(r"((redis|rediss|unix)://\S+)?\Z")
REDIS = validate.Regexp(_REDIS_URL, error="redis://host:6379/0")
LEVEL = validate.OneOf([*LEVELS, *map(str.lower, LEVELS)], error=f"one of {', '.join(LEVELS)}")


def read_secret(name: str, *, folder: Path, generate: bool) -> str:
    """The secret from NAME, else from the file named by NAME_FILE, else made and kept in `folder`.

    Raises ImproperlyConfigured when it is missing and `generate` is False, or too short.
    """
    value = given(name)
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


def given(name: str) -> str:
    """What NAME holds, else the file named by NAME_FILE; empty where neither is set."""
    return os.environ.get(name, "") or _from_file(name)


def _from_file(name: str) -> str:
    path = os.environ.get(f"{name}_FILE", "")
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE: {path} can't be read: {_why(error)}.") from None


def _kept(path: Path) -> str:
    """The secret in `path`; several processes starting at once agree on the first one written."""
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"{path.name.upper()} is kept in {path}, which can't be used: {_why(error)}."
        ) from None


def _make(path: Path) -> None:
    """Written aside and linked into place, so that nobody ever reads half a secret."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            # What is encrypted with it may not outlive it.
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "it is no text"


def read_database(url: str) -> dict[str, Any]:
    """Django's form of DB_URL; raises ImproperlyConfigured, which doesn't repeat the password."""
    try:
        parsed = dict(dj_database_url.parse(url))
    except (ValueError, KeyError):
        parsed = {}
    if not parsed.get("ENGINE") or not parsed.get("NAME"):
        raise ImproperlyConfigured(
            "DB_URL should be sqlite:////a/path or postgres://user:password@host:5432/name."
        )
    return parsed


def read_redis(env: Env) -> str:
    """REDIS_URL, else what the file named by REDIS_URL_FILE holds; empty where neither is set.

    Raises ImproperlyConfigured for a file that holds something else, which it doesn't repeat.
    """
    said: str = env.str("REDIS_URL", "", validate=REDIS)
    if said:
        return said
    kept = _from_file("REDIS_URL")
    if not _REDIS_URL.match(kept):
        raise ImproperlyConfigured(
            f"REDIS_URL_FILE: {os.environ['REDIS_URL_FILE']} should hold {REDIS.error}."
        )
    return kept


def report(env: Env, *, file: Path, also: Sequence[str] = ()) -> frozenset[str]:
    """Refuse to start with values that make no sense, or names in `file` that nothing reads.

    Raises ImproperlyConfigured with one line for each; returns all names that are settings.
    `also` are those read without `env`.
    """
    known = {*env.dump(), *also}
    known |= {name for secret in SECRET_NAMES for name in (secret, f"{secret}_FILE")}
    lines = [
        _unknown(name, file, known)
        for name in dotenv_values(file)
        if name not in known and not name.startswith(OF_COMPOSE)
    ]
    try:
        env.seal()
    except EnvValidationError as error:
        lines += [_malformed(name, texts) for name, texts in _by_name(error).items()]
    if lines:
        raise ImproperlyConfigured("\n".join(lines))
    return frozenset(known)


def _by_name(error: EnvValidationError) -> dict[str, list[str]]:
    told = error.error_messages
    return {name: list(texts) for name, texts in told.items()} if isinstance(told, Mapping) else {}


def _malformed(name: str, texts: Sequence[str]) -> str:
    wanted = " ".join(EXPECTED.get(text, text.rstrip(".")) for text in texts)
    if name in UNTOLD:
        return f"{name} should be {wanted}."
    return f"{name} should be {wanted}; it is {os.environ.get(name, '')!r}."


def _unknown(name: str, file: Path, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{name} in {file.name} is no setting of Backdrop.{hint}"


FILE_STORAGES = ("local", "s3")


def file_storage(env: Env, folder: Path) -> dict[str, Any]:
    """What `STORAGES["files"]` is: where uploaded files and results are kept."""
    kind = env.str(
        "FILE_STORAGE",
        "local",
        validate=validate.OneOf(FILE_STORAGES, error=f"one of {', '.join(FILE_STORAGES)}"),
    )
    bucket = env.str("FILE_S3_BUCKET", "")
    endpoint = env.str("FILE_S3_ENDPOINT", "")
    region = env.str("FILE_S3_REGION", "")
    prefix = env.str("FILE_S3_PREFIX", "")
    access_key, secret = given("FILE_S3_ACCESS_KEY"), given("FILE_S3_SECRET_KEY")
    env.str("FILE_S3_ACCESS_KEY", "")
    env.str("FILE_S3_SECRET_KEY", "")
    if kind != "s3":
        options: dict[str, Any] = {"location": str(folder)}
        return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}
    if not bucket:
        raise ImproperlyConfigured("FILE_S3_BUCKET should be a bucket, where FILE_STORAGE is s3.")
    from botocore.config import Config  # it takes a while, and few need it

    options = {
        "bucket_name": bucket,
        "endpoint_url": endpoint or None,
        "region_name": region or None,
        "location": prefix,
        "access_key": access_key or None,
        "secret_key": secret or None,
        "client_config": Config(
            s3={"addressing_style": "path" if endpoint else "auto"},
            signature_version="s3v4",
            request_checksum_calculation="when_required",  # many stores know no other
        ),
        "querystring_auth": True,
        "file_overwrite": False,
        "default_acl": None,
    }
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
