"""What a dump holds, table by table, read off the stream as it passes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from backups.pipeline.contents import ReaderMaker
from backups.pipeline.ports import Block, Stream

LARGE_OBJECTS = "pg_catalog.pg_largeobject"
"""The name under which large objects stand among the tables; their rows are the objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The data of one table; names are written as in SQL.

    `digest` is the SHA-256 of the table's rows in the dump, each a line, in their order. That of
    the large objects is the sum of each one's, since their order means nothing.
    """

    rows: int
    bytes: int
    digest: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """All that a dump's text says of its data."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    sequences: Mapping[str, str] = field(default_factory=dict)
    """Last values as the dump sets them (of PostgreSQL: `42, true`)."""
    schema: str = ""
    """SHA-256 of everything but data and comments. Other versions write the same schema in other
    words, so it informs and decides nothing."""
    complete: bool = False
    """The dump's end marker was seen, and nothing was left open."""


class Fingerprinted:
    """Passes a plain dump on unchanged; `result()` is for after its end. `reader` is of its
    engine."""

    def __init__(self, stream: Stream, reader: ReaderMaker) -> None:
        self._stream = stream
        self._contents = _Digests()
        self._reader = reader(self._contents)
        self._complete: bool | None = None

    def __iter__(self) -> Iterator[Block]:
        for block in self._stream:
            self._reader.feed(block)
            yield block
        self._complete = self._reader.close()

    def result(self) -> Fingerprint:
        if self._complete is None:
            raise RuntimeError("The stream has not been read to its end.")
        return Fingerprint(
            tables=self._contents.tables(),
            sequences=self._contents.sequences,
            schema=self._contents.schema.hexdigest(),
            complete=self._complete,
        )


class _Lines:
    """Counts and hashes the lines of one table."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self.rows = 0
        self.bytes = 0
        self._hash = hashlib.sha256()

    def add(self, text: bytes, start: int, end: int) -> None:
        self.rows += text.count(b"\n", start, end)
        self.bytes += end - start
        self._hash.update(memoryview(text)[start:end])

    def table(self) -> Table:
        digest = self._hash.hexdigest()
        return Table(rows=self.rows, bytes=self.bytes, digest=digest, columns=self.columns)


class _Objects:
    """Counts and hashes large objects, each on its own."""

    def __init__(self) -> None:
        self.objects = 0
        self.bytes = 0
        self._finished = 0
        self._hash = hashlib.sha256()

    def begin(self) -> None:
        self._finished = self._sum()
        self.objects += 1
        self._hash = hashlib.sha256()

    def add(self, text: bytes, start: int, end: int) -> None:
        self.bytes += end - start
        self._hash.update(memoryview(text)[start:end])

    def table(self) -> Table:
        return Table(rows=self.objects, bytes=self.bytes, digest=f"{self._sum():064x}")

    def _sum(self) -> int:
        last = int.from_bytes(self._hash.digest()) if self.objects else 0
        return (self._finished + last) % 2**256


class _Digests:
    """The contents of a dump as fingerprints."""

    def __init__(self) -> None:
        self.sequences: dict[str, str] = {}
        self.schema = hashlib.sha256()
        self._lines: dict[str, _Lines] = {}
        self._objects = _Objects()

    def tables(self) -> dict[str, Table]:
        found = {name: lines.table() for name, lines in self._lines.items()}
        if self._objects.objects:
            found[LARGE_OBJECTS] = self._objects.table()
        return found

    def table(self, name: str, columns: tuple[str, ...]) -> _Lines:
        lines = self._lines.setdefault(name, _Lines(columns))
        lines.columns = lines.columns or columns  # known when its first row comes
        return lines

    def large_object(self) -> _Objects:
        self._objects.begin()
        return self._objects

    def sequence(self, name: str, value: str) -> None:
        self.sequences[name] = value

    def rest(self, text: bytes, start: int, end: int) -> None:
        self.schema.update(memoryview(text)[start:end])
