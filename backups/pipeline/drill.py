"""A drill: a stored backup is restored into a scratch server, and compared with what was dumped."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from backups.pipeline import comparison, engines, flow, scratch
from backups.pipeline.engine import Engine, Scratch
from backups.pipeline.errors import CorruptError, LackingError, RestoreError
from backups.pipeline.fingerprint import Fingerprint, Fingerprinted
from backups.pipeline.manifest import Manifest
from backups.pipeline.ports import ObjectStore, Source, Stream

ROOM = 2
"""Bytes of disk that a restored database may take for each byte of its dump, indexes and all."""
_NAME = "drill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The verdict: proven, differs, broken; undecided where the drill could not be run."""

    verdict: str
    reason: str = ""
    tables: list[dict[str, Any]] = field(default_factory=list)
    server_version: str = ""


def run(key: str, manifest: Manifest, store: ObjectStore, watcher: flow.Watcher) -> Report:
    """Restore into a server of our own, dump that again, compare table by table.

    A StorageError goes through: it says nothing about the backup, and may pass.
    """
    free = scratch.free_bytes()
    if free < manifest.raw_bytes * ROOM:
        return Report(
            verdict="undecided",
            reason=f"The scratch server needs about {manifest.raw_bytes * ROOM} bytes of disk, and "
            f"{free} are free. Make room, or run the drill on a larger machine.",
        )
    watcher.message("Starting a scratch server")
    engine = engines.get(manifest.engine)
    with engine.scratch(
        manifest.traits,
        opened=lambda folder: watcher.opened("scratch", folder=folder),
        closed=lambda folder: watcher.closed("scratch", folder=folder),
    ) as server:
        return _drill_on(server, engine, key, manifest, store, watcher)


def _drill_on(
    server: Scratch,
    engine: Engine,
    key: str,
    manifest: Manifest,
    store: ObjectStore,
    watcher: flow.Watcher,
) -> Report:
    sink = server.sink(_NAME, waiting=watcher.message)
    expected = Fingerprint(tables=manifest.tables, sequences=manifest.sequences)
    watcher.message("Restoring")
    try:
        with store.read(key) as stored:
            dump = Fingerprinted(flow.read_dump(key, manifest, stored), engine.reader)
            sink.load(flow.Reported(dump, watcher, "Restoring", manifest.raw_bytes))
    except (CorruptError, RestoreError) as error:
        return _refused(error)
    kept = comparison.compare(expected, dump.result()).strict()
    if not kept.good:
        return _report(kept, manifest.server_version)
    return _compared(server.source(_NAME), engine, key, manifest, expected, store, watcher)


def _refused(error: CorruptError | RestoreError) -> Report:
    """A server that lacks something says nothing against the backup."""
    verdict = "undecided" if isinstance(error, LackingError) else "broken"
    return Report(verdict=verdict, reason=str(error))


def _compared(
    source: Source,
    engine: Engine,
    key: str,
    manifest: Manifest,
    expected: Fingerprint,
    store: ObjectStore,
    watcher: flow.Watcher,
) -> Report:
    """Dump what was restored with the same client, and compare; of rows in another order than
    before both dumps are read again."""
    watcher.message("Reading the restored data back")
    with source.open() as dump:
        contents = Fingerprinted(dump, engine.reader)
        exhaust(flow.Reported(contents, watcher, "Comparing", manifest.raw_bytes))
    found = comparison.compare(expected, contents.result())
    if found.unsettled:
        watcher.message("Comparing the rows of tables that came back in another order")
        with store.read(key) as stored, source.open() as dump:
            found = found.settled(flow.read_dump(key, manifest, stored), dump, engine.reader)
    return _report(found, source.check().server_version)


def _report(found: comparison.Comparison, server_version: str) -> Report:
    return Report(
        verdict="proven" if found.good else "differs",
        reason="" if found.good else str(found),
        tables=[asdict(table) for table in found.tables],
        server_version=server_version,
    )


def exhaust(stream: Stream) -> None:
    """Read it for what its stages learn."""
    for _ in stream:
        pass
