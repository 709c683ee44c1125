"""The words of tus 1.0 (https://tus.io/protocols/resumable-upload), read and written.

Raises UploadError with the statuses that the protocol names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any, Protocol

from tasks.models import Upload
from tasks.uploads import limits
from tasks.uploads.refusals import UploadError

VERSION = "1.0.0"
BODY_TYPE = "application/offset+octet-stream"
EXTENSIONS = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "expiration",
    "checksum",
    "checksum-trailer",
    "termination",
    "concatenation",
)
MISMATCH = 460
_LONGEST_NUMBER = 18  # digits; what is longer is no size of a file


class Digest(Protocol):
    def update(self, data: Any, /) -> object: ...
    def digest(self) -> bytes: ...


class _Crc32:
    """zlib's CRC with hashlib's manners: four bytes, the highest first."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Any, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4)


ALGORITHMS: Mapping[str, Any] = {
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "crc32": _Crc32,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}


class Checking:
    """Holds one request's body to its `Upload-Checksum`, which may come in a trailer.

    `headers` are looked at again after the body: that is when a trailer is among them.
    """

    def __init__(self, headers: Callable[[], Mapping[str, str]]) -> None:
        self._headers = headers
        announced = headers().get("upload-checksum")
        names = [_algorithm(announced)] if announced else list(ALGORITHMS)
        self._digests: dict[str, Digest] = {name: ALGORITHMS[name]() for name in names}
        if announced:
            _wanted(announced)

    @classmethod
    def of(cls, headers: Callable[[], Mapping[str, str]]) -> Checking | None:
        """None where no checksum is announced. Raises UploadError (400) for one that isn't one."""
        told = headers()
        trailers = {name.strip().lower() for name in told.get("trailer", "").split(",")}
        if "upload-checksum" not in told and "upload-checksum" not in trailers:
            return None
        return cls(headers)

    def update(self, data: bytes) -> None:
        for digest in self._digests.values():
            digest.update(data)

    def check(self) -> None:
        """Raises UploadError: 460 where the body is another, 400 for a missing trailer."""
        text = self._headers().get("upload-checksum", "")
        if not text:
            raise UploadError(400, "The trailer Upload-Checksum was promised and did not come.")
        name = _algorithm(text)
        if self._digests[name].digest() != _wanted(text):
            raise UploadError(MISMATCH, f"The {name} of the body differs. Send these bytes again.")


def _algorithm(text: str) -> str:
    name = text.strip().partition(" ")[0].lower()
    if name not in ALGORITHMS:
        raise UploadError(
            400, f"Upload-Checksum: use one of {', '.join(ALGORITHMS)}, not {name[:20]!r}."
        )
    return name


def _wanted(text: str) -> bytes:
    found = _decoded(text.strip().partition(" ")[2].strip(), "Upload-Checksum")
    if not found:
        raise UploadError(400, "Upload-Checksum: the checksum is missing behind its name.")
    return found


@dataclass(frozen=True, slots=True)
class Concat:
    """What `Upload-Concat` says: a part, or a file joined from the parts of these addresses."""

    text: str = ""
    part: bool = False
    parts: tuple[str, ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Concat:
        if not text:
            return cls()
        if text == "partial":
            return cls(text, part=True)
        kind, _, addresses = text.partition(";")
        parts = tuple(addresses.split())
        if kind != "final" or not parts:
            raise UploadError(400, "Upload-Concat should be `partial`, or `final;` and addresses.")
        return cls(text, parts=parts)


def metadata(text: str) -> dict[str, bytes]:
    """`Upload-Metadata` as names and values, which may be any bytes."""
    found: dict[str, bytes] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, _, encoded = pair.partition(" ")
        if not name.isascii() or name in found:
            raise UploadError(400, "Upload-Metadata: names are ASCII, and each stands there once.")
        found[name] = _decoded(encoded.strip(), "Upload-Metadata")
    if text.strip() and not found:
        raise UploadError(400, "Upload-Metadata can't be read.")
    return found


def _decoded(text: str, header: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UploadError(400, f"{header}: what stands there is no base64.") from None


def number(headers: Mapping[str, str], name: str) -> int | None:
    """A whole number of bytes; None where the header isn't there."""
    text = headers.get(name.lower())
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise UploadError(400, f"{name} should be a whole number of bytes.")
    if len(text) > _LONGEST_NUMBER:
        status = 413 if name == "Upload-Length" else 400
        raise UploadError(status, f"{name}: no file of that size is taken.")
    return int(text)


def length(headers: Mapping[str, str]) -> int | None:
    """The size of the file; None where it is told later."""
    size, later = number(headers, "Upload-Length"), headers.get("upload-defer-length")
    if later is not None and later != "1":
        raise UploadError(400, "Upload-Defer-Length can be 1, and nothing else.")
    if (size is None) == (later is None):
        raise UploadError(400, "One of Upload-Length and Upload-Defer-Length is needed.")
    return size


def check_version(headers: Mapping[str, str]) -> None:
    """Raises UploadError (412) unless the sender speaks our version."""
    spoken = headers.get("tus-resumable")
    if spoken != VERSION:
        told = f"not {spoken[:20]}" if spoken else "which the header Tus-Resumable has to say"
        raise UploadError(
            412, f"Only tus {VERSION} is spoken here, {told}.", {"Tus-Version": VERSION}
        )


def abilities() -> dict[str, str]:
    """The answer to OPTIONS."""
    return {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(limits.largest()),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def expiry(upload: Upload) -> dict[str, str]:
    """`Upload-Expires` of one that hasn't arrived yet."""
    if upload.complete:
        return {}
    return {"Upload-Expires": format_datetime(upload.expires_at, usegmt=True)}


def standing(upload: Upload) -> dict[str, str]:
    """The answer to HEAD."""
    told = {"Upload-Offset": str(upload.offset), "Cache-Control": "no-store", **expiry(upload)}
    if upload.size is None:
        told["Upload-Defer-Length"] = "1"
    else:
        told["Upload-Length"] = str(upload.size)
    if upload.metadata:
        told["Upload-Metadata"] = upload.metadata
    if upload.concat:
        told["Upload-Concat"] = upload.concat
    return told
