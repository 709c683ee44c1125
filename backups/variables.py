"""The variables that a first start reads: its own, and those of each engine and kind of storage.

The settings ask, to know what is misspelt: nothing here may need them.
"""

from __future__ import annotations

from collections.abc import Iterator

from backups import storages
from backups.pipeline.engines import ENGINES

OWN = frozenset({"STORAGE", "BACKUP_SCHEDULE"})
SECRET = frozenset({"SLACK_WEBHOOK_URL", "NOTIFY_URLS"})
"""Its own that, as the addresses of databases, may be in files."""


def names() -> frozenset[str]:
    """All of them, with a NAME_FILE beside each that may be in a file."""
    filed = frozenset(_filed())
    plain = frozenset(name for kind in storages.KINDS.values() for name in kind.variables.values())
    return OWN | plain | filed | {f"{name}_FILE" for name in filed}


def _filed() -> Iterator[str]:
    yield from SECRET
    for engine in ENGINES.values():
        yield engine.url.variable
    for kind in storages.KINDS.values():
        yield from (name for option, name in kind.variables.items() if kind.in_file(option))
