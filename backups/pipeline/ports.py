"""The ports of the pipeline. One currency: blocks of bytes, pulled.

An adapter is one file; each passes the conformance suite of its port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

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
    traits: Mapping[str, Any] = field(default_factory=dict)
    """What the engine needs to make such a database again, in JSON's types; for the manifest."""
    warnings: tuple[str, ...] = ()
    """What people should know of a dump of it though it goes well, each a sentence."""


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
    stays under the final name. `before_commit` is called when all is loaded and only the name is
    missing; if it raises, the name is not taken. `notes` is then what people should know though
    all went well.
    """

    notes: list[str]

    def load(self, stream: Stream, *, before_commit: Callable[[], None] | None = None) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object that is whole. `key` is relative to the destination's prefix.

    `version` is the store's own id of what was written, empty where the place keeps no versions
    (and from `list`).
    """

    key: str
    size: int
    version: str = ""


class ObjectStore(Protocol):
    """Where objects are kept. Keys are relative, `/`-separated, never leave the prefix.

    `write` consumes the stream with constant memory and makes the object visible by its last act;
    when the stream raises, or the process dies, nothing is visible under the key. `before_commit`
    is called once the stream has ended and nothing but the last act is left; if it raises,
    nothing becomes visible. What the stream raises goes through unchanged, a BaseException too.
    An existing key is never overwritten: ObjectExistsError; of several writers of a key one wins.
    Missing keys raise MissingObjectError from `read` (on entering) and `stat`; `delete` of a
    missing key is no error. Every refusal is a StorageError that names the place and the remedy.
    An adapter tries again by itself, for seconds; its caller needn't, but may try the whole again.
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
        before it is used; `closed` when it was completed or undone, and not when it couldn't be.
        Where a death leaves nothing neither is called. What is told as `secret` lets whoever
        knows it write to the object: it is to be kept as secrets are."""

    def read(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AbstractContextManager[Stream]:
        """The object's bytes from `offset` on; nothing past its end. A broken connection is
        mended in place; an object that changed meanwhile is an error."""

    def stat(self, key: str) -> StoredObject: ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """What is whole and begins with `prefix` (any text, not only a folder), in any order."""

    def delete(self, key: str, *, version: str = "") -> None:
        """Remove the object, or only that version of it where the place keeps versions."""

    def undo(self, opened: Mapping[str, str]) -> None:
        """Undo what a dead process opened; idempotent, and no error where there is nothing."""

    def sweep(self, *, older_than_seconds: float) -> int:
        """Remove leftovers of ours (temporary files, multipart uploads) on which nothing was done
        for that long; returns how many."""
