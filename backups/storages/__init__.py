"""Where backups are kept: adapters of `pipeline.ports.ObjectStore`, one file each.

`open_store` makes the store of a destination; `KINDS` says which kinds there are and what each
wants to know.
"""

from __future__ import annotations

from backups.storages.kind import KEPT, Kind, Options, OptionsError
from backups.storages.kinds import KINDS, kind_of, open_store, validated

__all__ = ["KEPT", "KINDS", "Kind", "Options", "OptionsError", "kind_of", "open_store", "validated"]
