"""The order of the stages: how a dump becomes an object, and an object a database again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from backups.pipeline import engines, naming
from backups.pipeline.compression import COMPRESSIONS
from backups.pipeline.errors import CorruptError, ObjectExistsError, StorageError
from backups.pipeline.fingerprint import Fingerprinted
from backups.pipeline.hashing import Hashed
from backups.pipeline.manifest import Manifest
from backups.pipeline.ports import Block, ObjectStore, Sink, Source, SourceInfo, Stream
from backups.pipeline.version import VERSION


class Watcher(Protocol):
    """Who runs the flow: is told how far it is, and asked before anything becomes visible."""

    def progress(self, done: int, total: int | None = None, *, unit: str = "bytes") -> None: ...
    def message(self, text: str) -> None: ...
    def log(self, text: str, *, level: str = "info") -> None: ...
    def confirm(self) -> None: ...
    def opened(self, kind: str, **ids: str) -> None: ...
    def closed(self, kind: str, **ids: str) -> None: ...


Reserve = Callable[[str], bool]
"""Takes a key for this run alone; False where another run has it."""
Accept = Callable[[str, Manifest], None]
"""Takes key and manifest of a stored backup into the catalogue; raises where it must not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpOrder:
    """What is to be stored, and how."""

    database: str
    plan: str
    compression: str
    level: int | None = None
    expected_bytes: int | None = None
    """Size of the last dump; the source's own estimate serves where there was none."""


def store_dump(
    order: DumpOrder,
    source: Source,
    store: ObjectStore,
    watcher: Watcher,
    *,
    reserve: Reserve,
    accept: Accept,
) -> tuple[str, Manifest]:
    """Stream the source into the store: the object first, its manifest last, then `accept`.

    When anything fails nothing stays in the store, once what `watcher.opened` was told and
    `watcher.closed` was not has been undone; so too where this process dies.
    """
    watcher.message("Connecting to the database")
    info = source.check()
    watcher.log(f"{order.database} runs on {info.server_version}; {info.tool} dumps it.")
    for warning in info.warnings:
        watcher.log(warning, level="warning")
    started = datetime.now(UTC)
    key = _free_key(order, source.extension, store, started, reserve)
    watcher.opened("object", key=key)
    try:
        manifest = _store_object(key, order, info, started, source, store, watcher)
    except ObjectExistsError:  # somebody else's: the last thing to do is to remove it
        watcher.closed("object", key=key)
        raise
    try:
        _store_manifest(key, manifest, store, watcher)
        accept(key, manifest)
    except BaseException:
        _remove_quietly(store, key, watcher)
        raise
    watcher.closed("object", key=key)
    return key, manifest


def _free_key(
    order: DumpOrder, extension: str, store: ObjectStore, moment: datetime, reserve: Reserve
) -> str:
    """The name of CONTRACT 6; a second run in the same second gets `_2`."""
    suffix = COMPRESSIONS[order.compression].suffix
    keys = naming.object_keys(order.database, moment, extension, suffix)
    return next(key for key in keys if not any(store.list(key)) and reserve(key))


def _store_object(
    key: str,
    order: DumpOrder,
    info: SourceInfo,
    started: datetime,
    source: Source,
    store: ObjectStore,
    watcher: Watcher,
) -> Manifest:
    """source -> hashed -> fingerprinted -> compressed -> hashed -> store."""
    watcher.message("Waiting for the first byte of the dump")
    with source.open() as dump:
        raw = Hashed(dump)
        tables = Fingerprinted(raw, engines.get(info.engine).reader)
        total = order.expected_bytes or info.estimated_bytes
        reported = Reported(tables, watcher, "Dumping", total)
        stored = Hashed(COMPRESSIONS[order.compression].compress(reported, order.level))
        written = store.write(
            key,
            stored,
            before_commit=watcher.confirm,
            opened=lambda ids: watcher.opened("upload", **ids),
            closed=lambda ids: watcher.closed("upload", **ids),
        )
    if written.size != stored.size:
        raise StorageError(
            f"{store.describe()} holds {written.size} bytes of {key}, but {stored.size} were sent.",
            remedy="Check the storage; the object was removed.",
        )
    contents = tables.result()
    return Manifest(
        key=key,
        database=order.database,
        plan=order.plan,
        engine=info.engine,
        server_version=info.server_version,
        tools=_tools(info),
        started=started,
        finished=datetime.now(UTC),
        raw_bytes=raw.size,
        raw_sha256=raw.sha256,
        stored_bytes=stored.size,
        stored_sha256=stored.sha256,
        compression=order.compression,
        tables=contents.tables,
        sequences=contents.sequences,
        schema=contents.schema,
        traits=info.traits,
    )


def _tools(info: SourceInfo) -> dict[str, str]:
    program, _, version = info.tool.partition(" ")
    return {program: version, "backdrop": VERSION}


def _store_manifest(key: str, manifest: Manifest, store: ObjectStore, watcher: Watcher) -> None:
    watcher.message("Writing the manifest")
    store.write(naming.manifest_key(key), [manifest.to_bytes()], before_commit=watcher.confirm)


def _remove_quietly(store: ObjectStore, key: str, watcher: Watcher) -> None:
    """Remove after a failure, which is what gets told; the undo of the attempt tries again."""
    try:
        remove(store, key)
    except StorageError:
        return
    watcher.closed("object", key=key)


def remove(store: ObjectStore, key: str) -> None:
    """Remove a backup: the manifest first, so that what is left is not taken for a backup."""
    store.delete(naming.manifest_key(key))
    store.delete(key)


class Reported:
    """Passes blocks through, and tells the watcher how many bytes went by."""

    def __init__(self, stream: Stream, watcher: Watcher, verb: str, total: int | None) -> None:
        self._stream = stream
        self._watcher = watcher
        self._verb = verb
        self._total = total

    def __iter__(self) -> Iterator[Block]:
        done = 0
        for block in self._stream:
            if not done:
                self._watcher.message(self._verb)
            done += len(block)
            self._watcher.progress(done, self._total)
            yield block
        self._watcher.progress(done, done)


class Verified:
    """Passes blocks through; the end is reached only where size and SHA-256 are as expected."""

    def __init__(self, stream: Stream, size: int, sha256: str, what: str) -> None:
        self._hashed = Hashed(stream)
        self._size = size
        self._sha256 = sha256
        self._what = what

    def __iter__(self) -> Iterator[Block]:
        yield from self._hashed
        if (self._hashed.size, self._hashed.sha256) != (self._size, self._sha256):
            raise CorruptError(
                f"{self._what} is not what was stored: {self._hashed.size} bytes with SHA-256 "
                f"{self._hashed.sha256[:12]}…, but the manifest says {self._size} bytes with "
                f"{self._sha256[:12]}….",
                remedy="Use another backup and look into the storage.",
            )


def read_dump(key: str, manifest: Manifest, stored: Stream) -> Stream:
    """From the object's blocks to the dump's: verified -> decompressed -> verified."""
    whole = Verified(stored, manifest.stored_bytes, manifest.stored_sha256, key)
    raw = COMPRESSIONS[manifest.compression].decompress(whole)
    return Verified(raw, manifest.raw_bytes, manifest.raw_sha256, f"The dump inside {key}")


def load_object(
    key: str, manifest: Manifest, store: ObjectStore, sink: Sink, watcher: Watcher
) -> None:
    """Stream a stored backup into a database; it takes its name only when all was right."""
    watcher.message("Restoring")
    with store.read(key) as stored:
        dump = read_dump(key, manifest, stored)
        reported = Reported(dump, watcher, "Restoring", manifest.raw_bytes)
        sink.load(reported, before_commit=watcher.confirm)
    for note in sink.notes:
        watcher.log(note, level="warning")
