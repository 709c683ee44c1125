"""Is what was restored what was backed up? Two fingerprints, table by table.

A table that is read back in another order has another digest though nothing is lost. That is
rare (a restore in one transaction keeps the order), so nothing is spent on it while backing up:
only where rows and bytes agree and the digest does not, both dumps are read once more, and each
row's keyed hash is added up (128 bits, whatever the order). That takes neither memory nor disk;
sorting would take as much disk as the table.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from backups.pipeline.contents import ReaderMaker
from backups.pipeline.fingerprint import LARGE_OBJECTS, Fingerprint, Table
from backups.pipeline.ports import Stream

_SUM_BYTES = 16


class TableVerdict(StrEnum):
    SAME = "same"
    REORDERED = "reordered"
    """The same rows in another order."""
    DIFFERS = "differs"
    MISSING = "missing"
    EXTRA = "extra"
    UNSETTLED = "unsettled"
    """As many rows and bytes, another digest: order or content, which `settled` finds out."""

    @property
    def good(self) -> bool:
        return self in (TableVerdict.SAME, TableVerdict.REORDERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedTable:
    """One table; a number of rows is None where the table is not there."""

    table: str
    rows: int | None
    rows_restored: int | None
    verdict: TableVerdict

    def __str__(self) -> str:
        match self.verdict:
            case TableVerdict.MISSING:
                return f"{self.table} did not come back"
            case TableVerdict.EXTRA:
                return f"{self.table} was not in the backup"
            case TableVerdict.DIFFERS if self.rows != self.rows_restored:
                return f"{self.table} has {self.rows_restored} rows instead of {self.rows}"
            case TableVerdict.DIFFERS:
                return f"{self.table} has other content"
        return f"{self.table}: {self.verdict}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All tables by name, and the sequences that came back with another value or not at all."""

    tables: tuple[ComparedTable, ...]
    sequences: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return not self.sequences and all(table.verdict.good for table in self.tables)

    @property
    def unsettled(self) -> frozenset[str]:
        """Tables that need `settled`."""
        unsettled = TableVerdict.UNSETTLED
        return frozenset(each.table for each in self.tables if each.verdict is unsettled)

    def strict(self) -> Self:
        """For two readings of one dump, whose order can't differ: what is unsettled differs."""
        differs = TableVerdict.DIFFERS
        return replace(
            self,
            tables=tuple(
                replace(each, verdict=differs) if each.table in self.unsettled else each
                for each in self.tables
            ),
        )

    def settled(self, expected: Stream, found: Stream, reader: ReaderMaker) -> Self:
        """Read both dumps once more, by readers of their engine, and decide what is unsettled."""
        names = self.unsettled
        key = secrets.token_bytes(32)
        there, back = (_sums(dump, names, key, reader) for dump in (expected, found))
        decided = {
            name: TableVerdict.REORDERED if there[name] == back[name] else TableVerdict.DIFFERS
            for name in names
        }
        return replace(
            self,
            tables=tuple(
                replace(each, verdict=decided.get(each.table, each.verdict)) for each in self.tables
            ),
        )

    def __str__(self) -> str:
        """In one sentence; of many differences the first few."""
        if self.good:
            return f"All {len(self.tables)} tables came back the same."
        bad = [str(each) for each in self.tables if not each.verdict.good]
        bad += [f"sequence {name} has another value" for name in self.sequences]
        more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
        return "; ".join(bad[:5]) + more + "."


def compare(expected: Fingerprint, found: Fingerprint) -> Comparison:
    """What was backed up beside what a dump of the restored database holds."""
    names = sorted({*expected.tables, *found.tables})
    return Comparison(
        tables=tuple(_compared(n, expected.tables.get(n), found.tables.get(n)) for n in names),
        sequences=tuple(_different(expected.sequences, found.sequences)),
    )


def _compared(name: str, expected: Table | None, found: Table | None) -> ComparedTable:
    return ComparedTable(
        table=name,
        rows=expected.rows if expected else None,
        rows_restored=found.rows if found else None,
        verdict=_verdict(name, expected, found),
    )


def _verdict(name: str, expected: Table | None, found: Table | None) -> TableVerdict:
    if found is None:
        return TableVerdict.MISSING
    if expected is None:
        return TableVerdict.EXTRA
    if expected == found:
        return TableVerdict.SAME
    if name == LARGE_OBJECTS or _shape(expected) != _shape(found):
        return TableVerdict.DIFFERS
    return TableVerdict.UNSETTLED


def _shape(table: Table) -> tuple[int, int, tuple[str, ...]]:
    """What stays the same in whatever order the rows are."""
    return table.rows, table.bytes, table.columns


def _different(expected: Mapping[str, str], found: Mapping[str, str]) -> Iterable[str]:
    return (name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name))


def _sums(dump: Stream, names: frozenset[str], key: bytes, maker: ReaderMaker) -> Mapping[str, int]:
    contents = _RowSums(names, key)
    reader = maker(contents)
    for block in dump:
        reader.feed(block)
    reader.close()
    return contents.sums()


class _RowSum:
    """Adds up the hashes of the lines of one table."""

    def __init__(self, key: bytes) -> None:
        self.sum = 0
        self._key = key
        self._begun = self._hash(b"")

    def add(self, text: bytes, start: int, end: int) -> None:
        *lines, rest = text[start:end].split(b"\n")
        if lines:
            self._begun.update(lines[0])
            hashes = [self._begun.digest(), *(self._hash(line).digest() for line in lines[1:])]
            self.sum = (self.sum + sum(map(int.from_bytes, hashes))) % 2 ** (8 * _SUM_BYTES)
            self._begun = self._hash(b"")
        self._begun.update(rest)

    def _hash(self, data: bytes) -> hashlib.blake2b:
        return hashlib.blake2b(data, digest_size=_SUM_BYTES, key=self._key)


class _Nothing:
    """Takes what is not asked for."""

    def add(self, text: bytes, start: int, end: int) -> None:
        """Forget it."""


class _RowSums:
    """The contents of a dump as sums of the rows of some tables."""

    def __init__(self, names: frozenset[str], key: bytes) -> None:
        self._tables = {name: _RowSum(key) for name in names}

    def sums(self) -> dict[str, int]:
        return {name: table.sum for name, table in self._tables.items()}

    def table(self, name: str, columns: tuple[str, ...]) -> _RowSum | _Nothing:
        return self._tables.get(name) or _Nothing()

    def large_object(self) -> _Nothing:
        return _Nothing()

    def sequence(self, name: str, value: str) -> None:
        """They have been compared."""

    def rest(self, text: bytes, start: int, end: int) -> None:
        """It decides nothing."""
