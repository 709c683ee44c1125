r"""A dump on its way into psql.

A dump is a program: psql runs `\!` and other commands that it finds in one. Patched releases
answer with `\restrict`, which forbids them until a key is named, and write such a line into their
dumps. We take the dump's own out, whose key its author knows, and set one with a key of ours.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator, Iterator

from backups.pipeline.errors import CorruptError
from backups.pipeline.ports import Block, Stream
from backups.pipeline.postgres.dump import END_MARKER

# Before the first statement no line can be data, where it might begin with \r for a return.
_HEAD = 4096
_TAIL = 512
_RESTRICT = re.compile(rb"\A((?:--[^\n]*\n|\n)*)\\restrict (\w+)\n")
_TRANSACTION_TIMEOUT = b"\nSET transaction_timeout = 0;\n"


class Script:
    """The statements of a plain dump for a server of that version, in blocks.

    `lines_before` is what we put before the dump's own lines. Raises CorruptError at the end
    where the dump's end marker is missing: psql would take half a table for a whole one.
    """

    def __init__(self, dump: Stream, *, server_major: int, restricts: bool) -> None:
        self._dump = dump
        self._server_major = server_major
        self._key = secrets.token_hex(16) if restricts else ""
        self.lines_before = 1 if restricts else 0

    def __iter__(self) -> Iterator[Block]:
        blocks = iter(self._dump)
        head = b""
        for block in blocks:
            head += block
            if len(head) >= _HEAD:
                break
        head, their_key = self._rewritten(head)
        if self._key:
            yield b"\\restrict %s\n" % self._key.encode()
        held = yield from _all_but_tail(head)
        for block in blocks:
            if len(block) < _TAIL:
                held = yield from _all_but_tail(held + block)
            else:
                yield held
                held = yield from _all_but_tail(block)
        if END_MARKER not in held:
            raise CorruptError(
                "The dump ends in the middle: its end marker is missing.",
                remedy="Use another backup.",
            )
        yield held.replace(b"\n\\unrestrict %s\n" % their_key, b"\n\n") if their_key else held

    def _rewritten(self, head: bytes) -> tuple[bytes, bytes]:
        """The head without what does not concern this server, each line kept as an empty one;
        and the key of the dump's own \\restrict."""
        found = _RESTRICT.match(head)
        if found:
            head = found[1] + b"\n" + head[found.end() :]
        if self._server_major < 17:
            head = head.replace(_TRANSACTION_TIMEOUT, b"\n\n", 1)
        return head, found[2] if found else b""


def _all_but_tail(block: Block) -> Generator[Block, None, bytes]:
    """Gives out all but the last bytes, and returns those."""
    view = memoryview(block)
    if len(view) > _TAIL:
        yield view[:-_TAIL]
    return bytes(view[-_TAIL:])
