"""The names of objects in storage, which are a public format."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_TIME = "%Y-%m-%dT%H-%M-%SZ"
_MANIFEST = ".manifest.json"
_OBJECT = re.compile(
    r"(?P<database>[A-Za-z0-9][A-Za-z0-9._-]{0,62})"
    r"_(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)"
    r"(?:_(?P<number>[1-9]\d*))?"
    r"\.(?P<extension>sql|dump|sqlite3)"
    r"(?P<suffix>(?:\.gz|\.zst)?(?:\.age)?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectName:
    """What an object's name says."""

    database: str
    at: datetime
    number: int
    """1, or the position among those of the same second."""
    extension: str
    suffix: str


def object_keys(database: str, at: datetime, extension: str, suffix: str = "") -> Iterator[str]:
    """The keys that a backup may take, best first: the first that is free is its own.

    `suffix` is what compression and encryption add, each with its dot.
    """
    time = at.astimezone(UTC).strftime(_TIME)
    for number in itertools.count(1):
        again = "" if number == 1 else f"_{number}"
        yield f"{database}_{time}{again}.{extension}{suffix}"


def manifest_key(key: str) -> str:
    """The key of an object's manifest, beside it."""
    return f"{key}{_MANIFEST}"


def object_key(manifest: str) -> str | None:
    """The key that a manifest belongs to; None where the key is not a manifest's."""
    return manifest.removesuffix(_MANIFEST) if manifest.endswith(_MANIFEST) else None


def parse(key: str) -> ObjectName | None:
    """What a key says, its folders aside; None where it is not the name of a backup."""
    match = _OBJECT.fullmatch(key.rpartition("/")[2])
    if match is None:
        return None
    try:
        at = datetime.strptime(match["time"], _TIME).replace(tzinfo=UTC)
    except ValueError:  # the 31st of February
        return None
    return ObjectName(
        database=match["database"],
        at=at,
        number=int(match["number"] or 1),
        extension=match["extension"],
        suffix=match["suffix"],
    )
