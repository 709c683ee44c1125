"""The job `inspect`: what a file is. Nothing of it is unpacked, run or trusted."""

from __future__ import annotations

import codecs
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.jobs import archives, reading
from tasks.registry import Context, Intake, Job, register
from tasks.uploads.inputs import Input

_TEXTS = ("text/", "application/json", "application/sql", "application/x-ndjson")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def run(context: Context) -> Mapping[str, Any]:
    """Type, hashes, encoding and lines, and what an archive holds."""
    with context.input() as given:
        hashes, text = _Hashes(), _Text()
        for block in _looked_at(given, context):
            hashes.update(block)
            text.update(block)
        found: dict[str, Any] = {
            "filename": given.filename,
            "size": given.size,
            "type": given.content_type,
            **hashes.told(),
        }
        if given.content_type.startswith(_TEXTS):
            found["text"] = text.told()
        context.message("Looking into it")
        listing = archives.listing(given)
        if listing is not None:
            found["archive"] = listing
        return found


def _looked_at(given: Input, context: Context) -> Iterator[bytes]:
    return reading.blocks(given, context, "Reading")


class _Hashes:
    def __init__(self) -> None:
        self._digests = {
            "sha256": hashlib.sha256(),
            "sha1": hashlib.sha1(usedforsecurity=False),
            "md5": hashlib.md5(usedforsecurity=False),
        }
        self._crc = 0

    def update(self, block: bytes) -> None:
        for digest in self._digests.values():
            digest.update(block)
        self._crc = zlib.crc32(block, self._crc)

    def told(self) -> dict[str, str]:
        told = {name: digest.hexdigest() for name, digest in self._digests.items()}
        return {**told, "crc32": f"{self._crc:08x}"}


@dataclass(slots=True)
class _Text:
    """Encoding, lines and their ends, of text that comes in blocks."""

    _lines: int = 0
    _returns: int = 0
    _longest: int = 0
    _open: int = 0
    _last: bytes = b""
    _begun: bool = False
    _encoding: str = "utf-8"
    _decoder: Any = field(default_factory=codecs.getincrementaldecoder("utf-8"))

    def update(self, block: bytes) -> None:
        if not self._begun:
            self._begun = True
            self._encoding = next((name for bom, name in _BOMS if block.startswith(bom)), "utf-8")
        self._lines += block.count(b"\n")
        self._returns += block.count(b"\r\n")
        if self._last == b"\r" and block.startswith(b"\n"):
            self._returns += 1
        self._last = block[-1:]
        self._measure(block)
        if self._encoding == "utf-8":
            self._decode(block)

    def _measure(self, block: bytes) -> None:
        """The longest line, without keeping any."""
        start = 0
        while (end := block.find(b"\n", start)) >= 0:
            self._longest = max(self._longest, self._open + end - start)
            self._open, start = 0, end + 1
        self._open += len(block) - start

    def _decode(self, block: bytes) -> None:
        try:
            self._decoder.decode(block)
        except UnicodeDecodeError:
            self._encoding = "unknown-8bit"

    def told(self) -> dict[str, Any]:
        if self._encoding == "utf-8":
            try:
                self._decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                self._encoding = "unknown-8bit"
        unfinished = bool(self._open)
        ends = "none"
        if self._lines:
            ends = {0: "LF", self._lines: "CRLF"}.get(self._returns, "mixed")
        return {
            "encoding": self._encoding,
            "lines": self._lines + unfinished,
            "line_ends": ends,
            "longest_line": max(self._longest, self._open),
            "ends_with_newline": not unfinished,
        }


register(
    Job(
        name="inspect",
        run=run,
        title="Inspect",
        intake=Intake(),
        memory_bytes=1 << 30,
        deadline_seconds=3600,
        stall_seconds=300,
    )
)
