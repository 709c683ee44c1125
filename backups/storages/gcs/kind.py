"""The row of the table of kinds: what a destination in Google Cloud Storage wants to know."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backups.storages import keys
from backups.storages.kind import Kind

if TYPE_CHECKING:
    from backups.storages.gcs.store import GCSStore

NEEDED = ("client_email", "private_key", "token_uri")


def _build(options: Mapping[str, Any], secret: str) -> GCSStore:
    from backups.storages.gcs.store import GCSStore, Settings

    return GCSStore(
        Settings(
            bucket=options["bucket"],
            prefix=str(options.get("prefix", "")).strip("/"),
            endpoint=str(options.get("endpoint", "")).rstrip("/"),
            payer=options.get("payer", ""),
            key=json.loads(secret) if secret else None,
        )
    )


def _refusal(secret: str) -> str:
    """Only keys of service accounts are taken: other kinds of credentials name files, addresses or
    programs that this machine would use for whoever typed them."""
    try:
        key = json.loads(secret)
    except ValueError:
        return "This is no JSON; enter the whole key file."
    if not isinstance(key, dict) or key.get("type") != "service_account":
        return "This is no key of a service account."
    if not all(isinstance(key.get(name), str) for name in NEEDED):
        return f"The key is not whole; it has {', '.join(NEEDED)}."
    return ""


def _address(options: Mapping[str, Any]) -> str:
    return f"gs://{keys.in_bucket(options, '')}"


def _fetch(options: Mapping[str, Any], key: str, file: str) -> str:
    return shlex.join(["gcloud", "storage", "cp", f"gs://{keys.in_bucket(options, key)}", file])


KIND = Kind(
    name="gcs",
    label="Google Cloud Storage",
    credential="Service account key (JSON)",
    without_credential="Without one: this machine's own identity, at Google's endpoints alone.",
    refusal=_refusal,
    build=_build,
    address=_address,
    fetch=_fetch,
    guarded=("endpoint",),
    variables={
        "bucket": "GCS_BUCKET",
        "endpoint": "GCS_ENDPOINT",
        "payer": "GCS_BILLED_PROJECT",
        "secret": "GCS_CREDENTIALS",
    },
    schema={
        "type": "object",
        "required": ["bucket"],
        "additionalProperties": False,
        "properties": {
            "bucket": {
                "type": "string",
                "title": "Bucket",
                "pattern": r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$",
                "refusal": "A bucket's name has small letters, digits, dots, dashes, underscores.",
            },
            "prefix": {
                "type": "string",
                "title": "Prefix",
                "description": "The folder in the bucket; empty for all of it.",
                **keys.PREFIX,
            },
            "endpoint": {
                "type": "string",
                "title": "Endpoint",
                "description": "Empty for Google's own.",
                "pattern": r"^https?://[A-Za-z0-9._\[\]:-]+/?$",
                "refusal": "Enter an address such as https://storage.example.org:4443.",
            },
            "payer": {
                "type": "string",
                "title": "Billed project",
                "description": "Only for a bucket whose requesters pay.",
                "pattern": r"^([a-z0-9.-]{1,60}:)?[a-z][a-z0-9-]{4,61}[a-z0-9]$",
                "refusal": "Enter the id of a project, such as my-project-123.",
            },
        },
    },
)
