"""Where backups are kept: adapters of `pipeline.ports.ObjectStore`, one file each.

`open_store` makes the store of a destination; `KINDS` says which kinds there are and what each
wants to know.
"""

from __future__ import annotations

from backups.storages.kind import KEPT, Kind, Options, OptionsError
from backups.storages.kinds import KINDS, USUAL, choices, kind_of, open_store, validated

__all__ = [
    "KEPT",
    "KINDS",
    "USUAL",
    "Kind",
    "Options",
    "OptionsError",
    "choices",
    "kind_of",
    "open_store",
    "validated",
]
