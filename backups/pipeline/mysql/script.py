r"""A dump on its way into the client.

Patched programs begin their dumps with a comment that forbids the client to run commands, and
which clients that do not know it refuse. We take it out, and forbid them by options of our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from backups.pipeline.errors import CorruptError
from backups.pipeline.mysql.dumptext import END_MARKER
from backups.pipeline.ports import Block, Stream

_COLUMN = b"  `"
_COLUMN_BEGINS = (b"  `", b"  ", b" ", b"")
_LONGEST_COLUMN = 1 << 16
_HEAD = 256
_TAIL = 512
_SANDBOX = re.compile(rb"\A/\*M?!999999\\- [^\n]*\n")
# On the line of the sandbox, so that lines are numbered as in the dump.
_SESSION = b"SET SESSION wait_timeout=86400, net_read_timeout=3600;"


def without_sandbox(head: bytes) -> bytes:
    """The beginning of a dump, that line emptied."""
    return _SANDBOX.sub(b"\n", head, count=1)


@dataclass(frozen=True, slots=True)
class Moved:
    """The dump with its own sequences in another database: where the default of a column asks one
    of them it names the database that it was in. Columns are defined on lines of their own, which
    begin as no line of data does."""

    dump: Stream
    here: bytes
    """The former database, quoted."""
    there: bytes

    def __iter__(self) -> Iterator[Block]:
        asks = re.compile(rb"\b(nextval|lastval)\(%s\." % re.escape(self.here))
        asked = rb"\1(%s." % self.there.replace(b"\\", rb"\\")
        kept = b""
        begins = True
        for block in self.dump:
            text = kept + bytes(block)
            cut = text.rfind(b"\n") + 1
            column = text[cut : cut + len(_COLUMN)] in _COLUMN_BEGINS
            end = cut if column and len(text) - cut < _LONGEST_COLUMN else len(text)
            kept = text[end:]
            if asks.search(text, 0, end):
                yield b"".join(
                    asks.sub(asked, line)
                    if line.startswith(_COLUMN) and (begins or number)
                    else line
                    for number, line in enumerate(text[:end].splitlines(keepends=True))
                )
            elif end:
                yield text[:end]
            begins = text[:end].endswith(b"\n") if end else begins
        if kept:
            yield kept


class Script:
    """The statements of a dump, in blocks. Raises CorruptError at the end where the dump's end
    marker is missing: the client would take half a table for a whole one."""

    def __init__(self, dump: Stream) -> None:
        self._dump = dump

    def __iter__(self) -> Iterator[Block]:
        blocks = iter(self._dump)
        head = b""
        for block in blocks:
            head += block
            if len(head) >= _HEAD:
                break
        yield _SESSION + without_sandbox(head)
        tail = head[-_TAIL:]
        for block in blocks:
            tail = (tail + bytes(memoryview(block)[-_TAIL:]))[-_TAIL:]
            yield block
        if END_MARKER not in tail:
            raise CorruptError(
                "The dump ends in the middle: its end marker is missing.",
                remedy="Use another backup.",
            )
