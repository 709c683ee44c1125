"""A look at all of a text before a reader of tables gets it: what that would choke on is told."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.errors import PermanentError

LONGEST_LINE = 1 << 20
"""Bytes. The reader's time grows with the square of a line's length."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen. `encoding` is one that all of it can be read in."""

    encoding: str
    lines: int
    guessed: int = 0
    """The first line that isn't UTF-8, where the encoding is a guess; else 0."""


def look(blocks: Iterable[bytes], encoding: str = "auto") -> Look:
    """Read all of it. PermanentError for a line that is too long, or for NULs in a text without a
    byte order mark; `encoding` is what the sender says it is in."""
    seen = _Seen()
    for block in blocks:
        seen.add(block)
    if encoding == "auto":
        return seen.judged()
    return Look(encoding=encoding, lines=seen.lines)


class _Seen:
    def __init__(self) -> None:
        self.lines = 0
        self._open = 0  # bytes of the line that has no end yet
        self._wide = False
        self._begun = False
        self._bad_line = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def add(self, block: bytes) -> None:
        if not self._begun:
            self._begun = True
            self._wide = block.startswith(_UTF16)
        if not self._wide:
            self._refuse_nul(block)
            self._decode(block)
        self._measure(block)
        self.lines += block.count(b"\n")

    def _measure(self, block: bytes) -> None:
        """A line that is too long takes all of a block, or goes over the edge of one."""
        first = block.find(b"\n")
        self._check(self._open + (len(block) if first < 0 else first))
        if first < 0:
            self._open += len(block)
        else:
            self._open = len(block) - block.rfind(b"\n") - 1

    def _check(self, length: int) -> None:
        if length > LONGEST_LINE:
            raise PermanentError(
                f"Line {self.lines + 1} is longer than {LONGEST_LINE} bytes.",
                remedy="A table has one row in each line. Is this one?",
            )

    def _refuse_nul(self, block: bytes) -> None:
        at = block.find(b"\0")
        if at >= 0:
            line = self.lines + block.count(b"\n", 0, at) + 1
            raise PermanentError(
                f"Line {line} holds a NUL byte: this is no text, or UTF-16 without a mark.",
                remedy="Save it as UTF-8, and send it again.",
            )

    def _decode(self, block: bytes) -> None:
        if self._bad_line:
            return
        try:
            self._decoder.decode(block)
        except UnicodeDecodeError as error:
            self._bad_line = self.lines + error.object.count(b"\n", 0, error.start) + 1

    def judged(self) -> Look:
        if self._wide:
            return Look(encoding="utf-16", lines=self.lines)
        if not self._bad_line:
            try:
                self._decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                self._bad_line = self.lines + 1
        encoding = "latin-1" if self._bad_line else "utf-8"
        return Look(encoding=encoding, lines=self.lines, guessed=self._bad_line)
