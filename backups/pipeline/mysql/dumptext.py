r"""Reads the text of `mariadb-dump` and `mysqldump`, in blocks that end anywhere.

Data are the lines from `INSERT INTO` on. The dump programs escape every newline in a text, so
that a newline in data always ends a row or a statement, and `;` before one the statement: native
search finds both. Only where several rows may share a line (MySQL writes a whole statement on
one) is looked at what stands in quotes. Each row is passed on as `(…),\n`, so that neither the
program nor the places where it parted statements show.

Bodies of triggers, events and routines stand between `DELIMITER ;;` and `DELIMITER ;`: what looks
like data in there is none. Definitions of tables and views are
printed by the server with their newlines escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from backups.pipeline.contents import Contents, Taker
from backups.pipeline.ports import Block

END_MARKER = b"-- Dump completed"

_NAME = rb"`(?:[^`]|``)+`"
_INSERT = re.compile(rb"INSERT INTO (%(n)s)(?: \((%(n)s(?:, ?%(n)s)*)\))? VALUES\s" % {b"n": _NAME})
_CREATE = re.compile(rb"CREATE TABLE (%s) \(" % _NAME)
_SETVAL = re.compile(rb"(?:DO|SELECT) SETVAL\((%s), (-?\d+, \d)\);\n" % _NAME)
_COLUMN = re.compile(_NAME)
# Where other rules begin to hold. The look-behind wants the character before the text.
_TOKEN = re.compile(
    rb"""(?<=\n)(?:
      (?P<insert>INSERT[ ]INTO[ ]`)
    | (?P<create>CREATE[ ]TABLE[ ]`)
    | (?P<setval>(?:DO|SELECT)[ ]SETVAL\()
    | (?P<code>DELIMITER[ ];;\n)
    | (?P<line>--)
    )""",
    re.VERBOSE,
)
_LONGEST_TOKEN = 40
_LONGEST_HEAD = 1 << 20  # 4,096 columns of 64 quoted characters are half of it
_END_OF_CODE = b"\nDELIMITER ;\n"
# All of a row up to its closing bracket, or to a text that is not whole yet.
_ROW = re.compile(rb"(?:[^')]++|'[^'\\]*+(?:\\.[^'\\]*+)*+')*+", re.DOTALL)
_TEXT = re.compile(rb"[^'\\]*+(?:\\.[^'\\]*+)*+", re.DOTALL)
_ROW_END = b",\n"


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
        match token.lastgroup:
            case "insert":
                self._state = self._read_insert
            case "create":
                self._state = self._read_create
            case "setval":
                self._state = self._read_setval
            case "line":
                self._state = self._read_line
            case _:
                self._state = self._read_code
                # The newline may be that before the end of the code.
                self._contents.rest(text, token.start(), token.end() - 1)
                return token.end() - 1
        return token.start()

    def _read_line(self, text: bytes, at: int) -> int:
        """A comment."""
        end = text.find(b"\n", at) + 1
        if not end and self._ended:
            end = len(text)
        if not end:
            return self._wait_or_give_up(text, at)
        if text.startswith(END_MARKER, at):
            self._marked = True
        self._state = self._read_sql
        return end

    def _read_code(self, text: bytes, at: int) -> int:
        found = text.find(_END_OF_CODE, at)
        if found >= 0:
            end = found + len(_END_OF_CODE)
            self._state = self._read_sql
        else:
            end = max(at, len(text) - len(_END_OF_CODE))
            self._hungry = True
        self._contents.rest(text, at, end)
        return end

    def _read_create(self, text: bytes, at: int) -> int:
        """A table, which may have no rows."""
        found = _CREATE.match(text, at)
        if found is None:
            return self._wait_or_give_up(text, at)
        self._contents.table(_decoded(found[1]), ())
        return self._over(text, at, found.end())

    def _read_setval(self, text: bytes, at: int) -> int:
        found = _SETVAL.match(text, at)
        if found is None:
            return self._wait_or_give_up(text, at)
        self._contents.sequence(_decoded(found[1]), _decoded(found[2]))
        return self._over(text, at, found.end())

    def _over(self, text: bytes, at: int, end: int) -> int:
        self._contents.rest(text, at, end)
        self._state = self._read_sql
        return end

    def _read_insert(self, text: bytes, at: int) -> int:
        found = _INSERT.match(text, at)
        if found is None:
            return self._wait_or_give_up(text, at)
        columns = tuple(_decoded(name) for name in _COLUMN.findall(found[2] or b""))
        self._taker = self._contents.table(_decoded(found[1]), columns)
        self._marked = False
        self._state = self._read_rows
        return found.end()

    def _read_rows(self, text: bytes, at: int) -> int:
        """At the beginning of a row: all whole rows, as many as there are."""
        end = text.find(b";\n", at)
        if end >= 0:
            self._take_rows(text, at, end, last=True)
            self._state = self._read_sql
            return end + 2
        end = text.rfind(b"),\n", at)
        if end >= 0:
            self._take_rows(text, at, end + 1, last=False)
            return end + 3
        self._state = self._read_part
        return at

    def _take_rows(self, text: bytes, at: int, end: int, *, last: bool) -> None:
        """`text[at:end]` ends with a row's bracket. Mostly each has a line of its own."""
        if text.find(b"),(", at, end) < 0:
            whole = end if last else end + len(_ROW_END)
            self._taker.add(text, at, whole)
            if last:
                self._taker.add(_ROW_END, 0, len(_ROW_END))
            return
        rows: list[bytes] = []
        while at < end:
            found = _ROW.match(text, at, end)
            bracket = found.end() if found else end
            rows += (text[at : bracket + 1], _ROW_END)
            at = bracket + 2
            if text[at : at + 1] == b"\n":
                at += 1
        joined = b"".join(rows)
        self._taker.add(joined, 0, len(joined))

    def _read_part(self, text: bytes, at: int) -> int:
        """In a row, outside of texts, where no line has ended yet."""
        found = _ROW.match(text, at)
        end = found.end() if found else at
        following = text[end : end + 3]
        if following[:1] == b"'":
            self._taker.add(text, at, end + 1)
            self._state = self._read_text
            return end + 1
        if len(following) < 3 and not (self._ended and following[1:2]):
            self._taker.add(text, at, end)
            self._hungry = True
            return end
        self._taker.add(text, at, end + 1)
        self._taker.add(_ROW_END, 0, len(_ROW_END))
        if following[1:2] == b";":
            self._state = self._read_sql
            return min(end + 3, len(text))
        self._state = self._read_rows
        return end + (3 if following[2:3] == b"\n" else 2)

    def _read_text(self, text: bytes, at: int) -> int:
        found = _TEXT.match(text, at)
        end = found.end() if found else at
        if text[end : end + 1] == b"'":
            end += 1
            self._state = self._read_part
        else:
            self._hungry = True
        self._taker.add(text, at, end)
        return end

    def _wait_or_give_up(self, text: bytes, at: int) -> int:
        """A statement that is not whole yet, or not what it looked like."""
        if not self._ended and len(text) - at < _LONGEST_HEAD:
            self._hungry = True
            return at
        end = min(at + 2, len(text))
        self._hungry = end == len(text)
        return self._over(text, at, end)


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
