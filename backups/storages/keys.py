"""The rule for keys: relative, `/`-separated, and they never leave the destination's prefix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backups.pipeline.errors import StorageError

LONGEST_KEY = 900  # bytes; S3 takes 1,024 with the prefix
LONGEST_SEGMENT = 255  # bytes; what file systems take
RESERVED = ".backdrop-"
"""Begins the names of temporary files; no key has such a segment."""
_FOLDER = "[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
PREFIX: Mapping[str, Any] = {
    "pattern": rf"^/?{_FOLDER}(/{_FOLDER}){{0,5}}/?$",
    "refusal": "Use letters, digits, dots, dashes and underscores, and single slashes.",
}
"""What the option `prefix` of a bucket has to look like, for the schema of its kind."""


def in_bucket(options: Mapping[str, Any], key: str) -> str:
    """`bucket/prefix/key`, of a destination with the options `bucket` and `prefix`."""
    prefix = str(options.get("prefix") or "").strip("/")
    return "/".join([str(options.get("bucket", "")), *([prefix] if prefix else []), key])


def checked(key: str) -> str:
    """The key itself; StorageError (permanent) where it could not be kept in every store."""
    if not is_good(key):
        raise StorageError(
            f"{key!r} can't be the key of an object.",
            remedy="Use printable names separated by single slashes, without '.' and '..'.",
            permanent=True,
        )
    return key


def checked_prefix(prefix: str) -> str:
    """The beginning of a key: any text that some good key begins with, the empty one included."""
    if prefix and not is_good(prefix + "x"):
        checked(prefix)
    return prefix


def is_good(key: str) -> bool:
    """Whether `checked` would take it; a store's `list` leaves out what is not."""
    return (
        key.isprintable()
        and "\\" not in key
        and len(key.encode()) <= LONGEST_KEY
        and all(_is_good_segment(segment) for segment in key.split("/"))
    )


def _is_good_segment(segment: str) -> bool:
    return (
        segment not in ("", ".", "..")
        and not segment.startswith(RESERVED)
        and len(segment.encode()) <= LONGEST_SEGMENT
    )
