"""Every kind of store with a look behind it, and writers in processes of their own to be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage

from backups.pipeline.ports import ObjectStore
from backups.storages import open_store
from backups.storages.local import LocalStore
from backups.storages.memory import MemoryStore

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
PART = 8 * MIB


@dataclass(frozen=True, kw_only=True)
class Place:
    """A store, and what is really there: objects and whatever an unfinished write leaves."""

    name: str
    store: ObjectStore
    traces: Callable[[], list[str]]
    order: dict[str, Any] = field(default_factory=dict, repr=False)
    """How another process opens the same store; empty where it can't."""


def memory(request) -> Place:
    store = MemoryStore()
    return Place(name="memory", store=store, traces=lambda: [item.key for item in store.list()])


def folder(request) -> Place:
    return _folder(request, nameless=True)


def folder_without_nameless_files(request) -> Place:
    return _folder(request, nameless=False)


def _folder(request, *, nameless: bool) -> Place:
    path = request.getfixturevalue("tmp_path") / "kept"
    path.mkdir()
    return Place(
        name=f"folder nameless={nameless}",
        store=LocalStore(FileSystemStorage(location=str(path)), nameless=nameless),
        traces=lambda: sorted(str(found.relative_to(path)) for found in path.rglob("*")),
        order={"kind": "local", "options": {"folder": str(path)}, "nameless": nameless},
    )


def bucket(request) -> Place:
    there = request.getfixturevalue("s3_place")
    return Place(
        name="bucket",
        store=open_store("s3", there.options, there.secret),
        traces=lambda: there.names() + [f"unfinished {name}" for name in there.uploads()],
        order={"kind": "s3", "options": there.options, "secret": there.secret},
    )


def google_bucket(request) -> Place:
    there = request.getfixturevalue("gcs_place")
    return Place(
        name="google bucket",
        store=open_store("gcs", there.options),
        traces=lambda: there.names() + [f"unfinished {name}" for name in there.uploads()],
        order={"kind": "gcs", "options": there.options},
    )


LASTING = (folder, folder_without_nameless_files, bucket, google_bucket)
ALL = (memory, *LASTING)


def blocks(content: bytes, size: int = 300_000) -> Iterator[memoryview]:
    """The content in blocks of one reused buffer, as the pipeline's stages make them."""
    buffer = bytearray(size)
    for at in range(0, len(content), size):
        block = content[at : at + size]
        buffer[: len(block)] = block
        yield memoryview(buffer)[: len(block)]


def read_all(store: ObjectStore, key: str, **part) -> bytes:
    with store.read(key, **part) as stream:
        return b"".join(bytes(block) for block in stream)


@contextmanager
def writer(**order) -> Iterator[subprocess.Popen[str]]:
    """A process that does `backups.tests.storage_writer` with that order; ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "backups.tests.storage_writer"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str], wanted: str) -> Any:
    """What the writer says under that name; other lines are passed over."""
    for line in process.stdout:
        found = json.loads(line)
        if wanted in found:
            return found[wanted]
    raise AssertionError(f"The writer ended without {wanted!r}.")
