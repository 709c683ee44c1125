"""A drill: a stored backup is restored into a scratch server, and compared with what was dumped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from backups.pipeline import binaries, flow, scratch
from backups.pipeline.errors import CorruptError, LackingError, RestoreError
from backups.pipeline.fingerprint import Fingerprint, Fingerprinted
from backups.pipeline.manifest import Manifest
from backups.pipeline.ports import ObjectStore
from backups.pipeline.postgres import PostgresSink, PostgresSource

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
    major = int(manifest.traits.get("dump_major", 0))
    with scratch.ScratchPostgres(
        binaries.server_for(major),
        opened=lambda folder: watcher.opened("scratch", folder=folder),
        closed=lambda folder: watcher.closed("scratch", folder=folder),
    ) as server:
        return _drill_on(server, key, manifest, store, watcher)


def _drill_on(
    server: scratch.ScratchPostgres,
    key: str,
    manifest: Manifest,
    store: ObjectStore,
    watcher: flow.Watcher,
) -> Report:
    server.create_missing_roles(list(manifest.traits.get("roles", [])))
    sink = PostgresSink(
        server.server(), dbname=_NAME, traits=manifest.traits, single_transaction=True
    )
    try:
        flow.load_object(key, manifest, store, sink, watcher)
    except (CorruptError, LackingError, RestoreError) as error:
        return _refused(error)
    watcher.message("Reading the restored data back")
    source = PostgresSource(server.server(_NAME))
    info = source.check()
    with source.open() as dump:
        tables = Fingerprinted(dump)
        for _ in flow.Reported(tables, watcher, "Comparing", manifest.raw_bytes):
            pass
    return _compared(manifest, tables.result(), info.server_version)


def _refused(error: CorruptError | RestoreError) -> Report:
    """A server that lacks something says nothing against the backup."""
    verdict = "undecided" if isinstance(error, LackingError) else "broken"
    return Report(verdict=verdict, reason=str(error))


def _compared(manifest: Manifest, found: Fingerprint, server_version: str) -> Report:
    rows: list[dict[str, Any]] = []
    for name in sorted({*manifest.tables, *found.tables}):
        was, now = manifest.tables.get(name), found.tables.get(name)
        same = was is not None and now is not None and was.digest == now.digest
        rows.append(
            {
                "table": name,
                "rows": was.rows if was else None,
                "rows_restored": now.rows if now else None,
                "verdict": "same" if same else "differs",
            }
        )
    bad = [row["table"] for row in rows if row["verdict"] == "differs"]
    return Report(
        verdict="differs" if bad else "proven",
        reason=f"{len(bad)} tables came back different: {', '.join(bad[:3])}." if bad else "",
        tables=rows,
        server_version=server_version,
    )
