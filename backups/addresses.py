"""A stored secret is kept for the address it was typed for.

Who may change the address can't read the secret; without this rule they could have it sent to a
server of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backups import storages
from backups.models import Database, Destination
from backups.pipeline.engines import ENGINES

TYPE_AGAIN = "It is kept for the address it was entered for; enter it again for the new one."


def moves_database(database: Database, changes: Mapping[str, Any]) -> bool:
    """Whether `changes` would have the stored password sent elsewhere, or as somebody else."""
    if "port" in changes and changes["port"] is None:  # left empty, which means the usual one
        engine = changes.get("engine") or database.engine
        changes = {**changes, "port": ENGINES[engine].default_port}
    return _differs(database, changes, "host", "port", "username")


def moves_destination(destination: Destination, changes: Mapping[str, Any]) -> bool:
    """The same for the secret of a destination."""
    options = changes.get("options", destination.options)
    return _differs(destination, changes, "kind") or any(
        options.get(name) != destination.options.get(name)
        for name in storages.kind_of(destination.kind).guarded
    )


def _differs(row: Database | Destination, changes: Mapping[str, Any], *names: str) -> bool:
    return any(name in changes and changes[name] != getattr(row, name) for name in names)
