"""The proof that a store works: an object is written, read back and removed."""

from __future__ import annotations

import re
import secrets

from backups.pipeline.errors import StorageError
from backups.pipeline.ports import ObjectStore

BEGINNING = "backdrop-check-"
NAME = re.compile(rf"{BEGINNING}[0-9a-f]{{16}}\Z")
"""What a probe is called; a sweep removes those that a killed check left."""


def prove(store: ObjectStore) -> None:
    """Write, read and remove a small object; StorageError where one of them fails."""
    key = f"{BEGINNING}{secrets.token_hex(8)}"
    content = secrets.token_bytes(64)
    stored = store.write(key, [content])
    try:
        with store.read(key) as stream:
            found = b"".join(stream)
    finally:
        store.delete(key, version=stored.version)
    if found != content:
        raise StorageError(
            f"{store.describe()} gave back other bytes than were written.",
            remedy="Don't keep backups there.",
            permanent=True,
        )
