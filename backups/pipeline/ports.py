"""The ports of the pipeline. One currency: blocks of bytes, pulled.

An adapter is one file; each passes the conformance suite of its port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

Block = bytes | bytearray | memoryview
"""Valid only until the next block is pulled: a stage that keeps bytes copies them."""


class Stream(Protocol):
    """A stream of blocks. A failed stage raises from `__iter__`, which poisons all that follow:
    end of stream is only reached when everything before it went well."""

    def __iter__(self) -> Iterator[Block]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """What is known of a database before its first byte."""

    engine: str
    server_version: str
    tool: str
    """The client program's own version line."""
    estimated_bytes: int | None


class Source(Protocol):
    """A database that can be dumped.

    `check` connects and raises SourceError with a remedy (permanent for a wrong password or a
    missing database, not for a refused connection). `open` yields the dump's blocks; leaving the
    context kills the client program and everything it started, the server's side included. The
    stream raises SourceError unless the program exited 0 and the dump's end marker was seen.
    """

    extension: str
    """`sql`, `dump` or `sqlite3`."""

    def check(self) -> SourceInfo: ...

    def open(self) -> AbstractContextManager[Stream]: ...


class Sink(Protocol):
    """A database that a dump is restored into, through the engine's own client.

    `load` consumes the whole stream and returns when the server has committed it; raises
    RestoreError with the server's own sentence. A failed stream stops the load: nothing of it
    stays under the final name.
    """

    def load(self, stream: Stream) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object that is whole. `key` is relative to the destination's prefix."""

    key: str
    size: int
    version: str = ""


class ObjectStore(Protocol):
    """Where objects are kept. Keys are relative, `/`-separated, never leave the prefix.

    `write` consumes the stream with constant memory and makes the object visible by its last act;
    when the stream raises, or the process dies, nothing is visible under the key. `before_commit`
    is called once everything is stored but not yet visible; if it raises, nothing becomes visible.
    An existing key is never overwritten: StorageError. Missing keys raise StorageError
    (permanent) from `read` and `stat`; `delete` of a missing key is no error. Every refusal is a
    StorageError that names the place and the remedy.
    """

    def check(self) -> None:
        """Prove that an object can be written, read and removed here; leaves nothing behind."""

    def describe(self) -> str:
        """A person's name for the place, without secrets: `s3://bucket/prefix`, a folder."""

    def write(
        self,
        key: str,
        stream: Stream,
        *,
        before_commit: Callable[[], None] | None = None,
        opened: Callable[[dict[str, str]], None] | None = None,
        closed: Callable[[dict[str, str]], None] | None = None,
    ) -> StoredObject:
        """`opened` is told of what must be undone if this process dies (`{"upload_id", "key"}`),
        before it is used; `closed` when it was completed or undone."""

    def read(self, key: str) -> AbstractContextManager[Stream]: ...

    def stat(self, key: str) -> StoredObject: ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]: ...

    def delete(self, key: str) -> None: ...

    def undo(self, opened: dict[str, str]) -> None:
        """Undo what a dead process opened; idempotent."""

    def sweep(self, *, older_than_seconds: float) -> int:
        """Remove leftovers of ours (temporary files, multipart uploads); returns how many."""
