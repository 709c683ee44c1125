"""What a file is, by its first bytes; what it is called counts for text alone."""

from __future__ import annotations

import codecs
from pathlib import PurePosixPath

import puremagic

LOOKED_AT = 8192
UNKNOWN = "application/octet-stream"
TEXT = "text/plain"

_BY_NAME = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".sql": "application/sql",
    ".html": "text/html",
    ".xml": "application/xml",
    ".svg": "image/svg+xml",
    ".md": "text/markdown",
}
_MAGIC = (
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"PGDMP", "application/vnd.postgresql.dump"),
    (b"\x1f\x8b", "application/gzip"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"age-encryption.org/", "application/x-age-encryption"),
)
"""What our jobs know, told for certain; of all else the library may guess."""


def type_of(head: bytes, filename: str = "") -> str:
    """The media type of a file that begins with `head` (its first `LOOKED_AT` bytes)."""
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    suffix = PurePosixPath(filename.lower()).suffix
    if _is_text(head):
        return _BY_NAME.get(suffix, TEXT)
    return _guessed(head)


def _is_text(head: bytes) -> bool:
    """Whether it reads as UTF-8 (a character may be cut at the end) without control characters."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        text = head.decode("latin-1")
        return all(character >= " " or character in "\t\r\n\f" for character in text)
    return "\0" not in text


def _guessed(head: bytes) -> str:
    try:
        return str(puremagic.from_string(head, mime=True)) or UNKNOWN
    except (puremagic.PureError, ValueError, IndexError):
        return UNKNOWN
