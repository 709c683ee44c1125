"""A drill: a stored backup is restored into a scratch server, and compared with what was dumped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backups.pipeline import binaries, flow, scratch
from backups.pipeline.errors import CorruptError, LackingError, RestoreError
from backups.pipeline.fingerprint import Fingerprint, Fingerprinted
from backups.pipeline.manifest import Manifest
from backups.pipeline.ports import ObjectStore
from backups.pipeline.postgres import PostgresSink, PostgresSource

ROOM = 2.0
"""Bytes of disk that a restored database may take for each byte of its dump, indexes and all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The verdict: `proven`, `differs`, `broken`, or `undecided` where the drill couldn't be run."""

    verdict: str
    reason: str = ""
    tables: list[dict[str, Any]] = field(default_factory=list)
    server_version: str = ""
