"""What the readers of dumps find in them, whatever the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from backups.pipeline.ports import Block


class Taker(Protocol):
    """Gets data in pieces that end anywhere: `text[start:end]`."""

    def add(self, text: bytes, start: int, end: int) -> None: ...


class Contents(Protocol):
    """Is told what the dump holds, in its order."""

    def table(self, name: str, columns: tuple[str, ...]) -> Taker:
        """Asked for who takes the rows of a block of data, each a line that ends with a newline
        and holds no other; names are written as in SQL. A table may have several blocks: where
        one ends and the next begins says nothing."""

    def large_object(self) -> Taker:
        """Asked for who takes the statements that fill one large object of PostgreSQL."""

    def sequence(self, name: str, value: str) -> None:
        """A last value, in the words of the engine."""

    def rest(self, text: bytes, start: int, end: int) -> None:
        """Whatever is neither data nor comment."""


class Reader(Protocol):
    """A machine that is fed the text of a dump, in blocks that end anywhere."""

    def feed(self, block: Block) -> None: ...

    def close(self) -> bool:
        """No more comes. Whether the dump is complete: its end marker seen, nothing left open."""


ReaderMaker = Callable[[Contents], Reader]
