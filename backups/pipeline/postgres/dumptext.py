"""Reads the text of PostgreSQL's plain dumps, in blocks that end anywhere.

Data is found by native search, so that it costs about as much as hashing it. Only what stands
between the data is looked at token by token, so that text in quotes, bodies of functions and
comments are never taken for data.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from backups.pipeline.contents import Contents, Taker
from backups.pipeline.ports import Block

_NAME = rb'(?:"(?:[^"]|"")+"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)'
_COLUMN = re.compile(_NAME)
_COPY = re.compile(
    rb"COPY (%(n)s(?:\.%(n)s)?) (?:\((%(n)s(?:, %(n)s)*)\))? ?FROM stdin;\n" % {b"n": _NAME}
)
_SETVAL = re.compile(rb"SELECT pg_catalog\.setval\('((?:[^']|'')+)', (-?[0-9]+, (?:true|false))\);")
_ESCAPED = re.compile(rb"[\\']")
# Where other rules begin to hold. The look-behinds want the character before the text.
_TOKEN = re.compile(
    rb"""
    (?P<single>')
    | (?P<double>")
    | (?P<line>--|(?<=\n)\\(?:un)?restrict[ ])
    | (?P<block>/\*)
    | (?<![A-Za-z0-9_$\x80-\xff])(?P<escape>[eE]')
    | (?<![A-Za-z0-9_$\x80-\xff])(?P<dollar>\$(?:[A-Za-z_][A-Za-z0-9_]*)?\$)
    | (?<=\n)(?P<copy>COPY[ ])
    | (?<=\n)(?P<setval>SELECT[ ]pg_catalog\.setval\()
    | (?<=\n)(?P<large>SELECT[ ]pg_catalog\.lo_open\()
    """,
    re.VERBOSE,
)
_LONGEST_TOKEN = 80
_LONGEST_STATEMENT = 1 << 20  # 1,600 columns of 63 quoted characters are a quarter of it
_END_OF_DATA = b"\n\\.\n"
_END_OF_OBJECT = b"\nSELECT pg_catalog.lo_close(0);\n"
_END_MARKER = b"-- PostgreSQL database dump complete\n"


class DumpReader:
    """A machine that is fed the text and tells `contents` what it is.

    Each state takes the text and a place in it, and returns the place up to which it is done;
    `_hungry` says that it can't go on before more comes. What it is not done with is kept, and
    one character before, which decides whether a line begins.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._state: Callable[[bytes, int], int] = self._read_sql
        self._kept = b"\n"
        self._hungry = False
        self._ended = False
        self._marked = False
        self._terminator = b""
        self._taker: Taker

    def feed(self, block: Block) -> None:
        text = b"".join((self._kept, block))
        at = 1
        self._hungry = False
        while not self._hungry:
            at = self._state(text, at)
        self._kept = text[at - 1 :]

    def close(self) -> bool:
        """No more comes. Whether the dump is complete: its end marker seen, nothing left open."""
        self._ended = True
        self.feed(b"")
        return self._marked and self._state == self._read_sql

    def _read_sql(self, text: bytes, at: int) -> int:
        token = _TOKEN.search(text, at)
        if token is None:
            self._hungry = True
            end = max(at, len(text) - (0 if self._ended else _LONGEST_TOKEN))
            self._contents.rest(text, at, end)
            return end
        self._contents.rest(text, at, token.start())
        return self._enter(token)

    def _enter(self, token: re.Match[bytes]) -> int:
        """Change to the state that the token asks for; returns where that one begins."""
        match token.lastgroup:
            case "copy":
                self._state = self._read_copy
            case "setval":
                self._state = self._read_setval
            case "line":
                self._state = self._read_line
            case "large":
                self._taker = self._contents.large_object()
                self._state = self._read_large_object
            case "escape":
                self._state = self._read_escaped
                return token.end()
            case _:
                ends = {"single": b"'", "double": b'"', "block": b"*/"}
                self._terminator = ends.get(str(token.lastgroup), token[0])
                self._state = self._read_quoted
                return token.end()
        return token.start()

    def _read_quoted(self, text: bytes, at: int) -> int:
        """Up to the terminator. A doubled quote ends one text and begins another, which comes to
        the same."""
        found = text.find(self._terminator, at)
        if found >= 0:
            end = found + len(self._terminator)
            self._state = self._read_sql
        else:
            end = max(at, len(text) + 1 - len(self._terminator))
            self._hungry = True
        self._contents.rest(text, at, end)
        return end

    def _read_escaped(self, text: bytes, at: int) -> int:
        r"""E'…', where \' and '' stand for a quote."""
        found = _ESCAPED.search(text, at)
        start = found.start() if found else len(text)
        following = text[start + 1 : start + 2]
        if found and following:
            over = found[0] == b"'" and following != b"'"
            end = start + (1 if over else 2)
            self._state = self._read_sql if over else self._read_escaped
        else:
            end = start
            self._hungry = True
        self._contents.rest(text, at, end)
        return end

    def _read_line(self, text: bytes, at: int) -> int:
        r"""A comment, or one of psql's \restrict lines, whose key is another in each dump."""
        end = text.find(b"\n", at) + 1
        if not end:
            return self._wait_or_give_up(text, at)
        if text[at:end] == _END_MARKER:
            self._marked = True
        self._state = self._read_sql
        return end

    def _read_setval(self, text: bytes, at: int) -> int:
        found = _SETVAL.match(text, at)
        if found is None:
            return self._wait_or_give_up(text, at)
        self._contents.sequence(_decoded(found[1].replace(b"''", b"'")), _decoded(found[2]))
        self._contents.rest(text, at, found.end())
        self._state = self._read_sql
        return found.end()

    def _read_copy(self, text: bytes, at: int) -> int:
        found = _COPY.match(text, at)
        if found is None:
            return self._wait_or_give_up(text, at)
        columns = tuple(_decoded(name) for name in _COLUMN.findall(found[2] or b""))
        self._taker = self._contents.table(_decoded(found[1]), columns)
        self._contents.rest(text, at, found.end())
        self._marked = False
        self._state = self._read_data
        return found.end()

    def _read_data(self, text: bytes, at: int) -> int:
        r"""Lines up to `\.`. The newline before it may be that of COPY or of the last piece."""
        backslash = text.find(b"\\", at)
        found = text.find(_END_OF_DATA, backslash - 1) if backslash >= 0 else -1
        if found >= 0:
            self._taker.add(text, at, found + 1)
            self._state = self._read_sql
            return found + len(_END_OF_DATA)
        end = max(at, _before_partial(text, _END_OF_DATA))
        self._taker.add(text, at, end)
        self._hungry = True
        return end

    def _read_large_object(self, text: bytes, at: int) -> int:
        """The statements of one large object, whose data is hexadecimal: nothing in it can look
        like their end."""
        found = text.find(_END_OF_OBJECT, at)
        if found >= 0:
            end = found + len(_END_OF_OBJECT)
            self._state = self._read_sql
        else:
            end = max(at, len(text) - len(_END_OF_OBJECT))
            self._hungry = True
        self._taker.add(text, at, end)
        return end

    def _wait_or_give_up(self, text: bytes, at: int) -> int:
        """A statement that is not whole yet, or not what it looked like."""
        if not self._ended and len(text) - at < _LONGEST_STATEMENT:
            self._hungry = True
            return at
        self._state = self._read_sql
        end = min(at + 2, len(text))
        self._contents.rest(text, at, end)
        self._hungry = end == len(text)
        return end


def _before_partial(text: bytes, terminator: bytes) -> int:
    """Where the text ends, without what may be the beginning of the terminator."""
    for length in range(len(terminator) - 1, 0, -1):
        if text.endswith(terminator[:length]):
            return len(text) - length
    return len(text)


def _decoded(name: bytes) -> str:
    """Dumps are in the database's own encoding; what is not UTF-8 is written as \\x…"""
    return name.decode("utf-8", "backslashreplace")
