"""The table of the kinds of destinations. A new one is a file with a `KIND`, and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backups.pipeline.ports import ObjectStore
from backups.storages import gcs, local, s3
from backups.storages.kind import Kind, Options, OptionsError

_ROWS = (local.KIND, s3.KIND, gcs.KIND)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ROWS}
USUAL = _ROWS[0].name
"""What is meant where nobody chooses."""


def choices() -> list[tuple[str, str]]:
    """Names and labels, for fields; looked up anew each time, so that no migration holds them."""
    return [(kind.name, kind.label) for kind in KINDS.values()]


def kind_of(name: str) -> Kind:
    """The kind of that name; OptionsError where there is none."""
    try:
        return KINDS[name]
    except KeyError:
        known = ", ".join(sorted(KINDS))
        raise OptionsError({"kind": f"There is no such kind; known are {known}."}) from None


def validated(kind: str, options: Options, secret: str = "") -> dict[str, Any]:
    """The options as `open_store` will use them, defaults filled in; raises OptionsError."""
    return kind_of(kind).options(options, secret)


def open_store(kind: str, options: Options, secret: str = "") -> ObjectStore:
    """The store of a destination; raises OptionsError. Nothing is connected to before its use."""
    chosen = kind_of(kind)
    return chosen.build(chosen.options(options, secret), secret)
