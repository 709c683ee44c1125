"""What stands beside an object and tells all that is needed to restore and to believe it.

A public format: `as_json` and `from_json` are its definition. A reader takes any manifest of its
own format version and ignores fields that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from backups.pipeline.errors import CorruptError
from backups.pipeline.fingerprint import Fingerprint, Table

FORMAT_VERSION = 1

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One backup in one object."""

    key: str
    """The object's name, without folders."""
    database: str
    """Its name in Backdrop."""
    engine: str
    server_version: str
    tools: Mapping[str, str]
    """By program the version line that it gives: `pg_dump`, `backdrop`."""
    plan: str
    started: datetime
    finished: datetime
    raw_bytes: int
    stored_bytes: int
    raw_sha256: str
    """Of the dump as its client wrote it."""
    stored_sha256: str
    """Of the object."""
    compression: str
    recipients: tuple[str, ...] = ()
    """Public parts of the keys it is encrypted for; none: not encrypted."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    sequences: Mapping[str, str] = field(default_factory=dict)
    schema: str = ""
    traits: Mapping[str, Any] = field(default_factory=dict)
    """What the engine needs to make such a database: encoding, collation, roles."""

    @property
    def fingerprint(self) -> Fingerprint:
        """What the dump held, as `comparison.compare` takes it."""
        return Fingerprint(
            tables=self.tables, sequences=self.sequences, schema=self.schema, complete=True
        )

    def as_json(self) -> dict[str, Any]:
        """The manifest in JSON's types."""
        return {
            "format_version": FORMAT_VERSION,
            "key": self.key,
            "database": self.database,
            "engine": self.engine,
            "server_version": self.server_version,
            "tools": dict(self.tools),
            "plan": self.plan,
            "started": _time(self.started),
            "finished": _time(self.finished),
            "raw_bytes": self.raw_bytes,
            "stored_bytes": self.stored_bytes,
            "raw_sha256": self.raw_sha256,
            "stored_sha256": self.stored_sha256,
            "compression": self.compression,
            "encryption": {"recipients": list(self.recipients)},
            "tables": {
                name: {
                    "rows": table.rows,
                    "bytes": table.bytes,
                    "digest": table.digest,
                    "columns": list(table.columns),
                }
                for name, table in self.tables.items()
            },
            "sequences": dict(self.sequences),
            "schema": self.schema,
            "traits": dict(self.traits),
        }

    def to_bytes(self) -> bytes:
        """The text of the object in storage."""
        return json.dumps(self.as_json(), indent=2, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, text: bytes) -> Manifest:
        """Raises CorruptError for anything but a whole manifest of a known version."""
        try:
            found = json.loads(text)
        except ValueError:
            raise _unreadable("it is not JSON") from None
        if not isinstance(found, dict):
            raise _unreadable("it is not a JSON object")
        return cls.from_json(found)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Manifest:
        """The inverse of `as_json`; raises CorruptError."""
        version = _get(found, "format_version", int)
        if version != FORMAT_VERSION:
            raise CorruptError(
                f"The manifest has format version {version}; this Backdrop reads {FORMAT_VERSION}.",
                remedy="Use the version of Backdrop that wrote it, or a later one.",
            )
        return cls(
            key=_get(found, "key", str),
            database=_get(found, "database", str),
            engine=_get(found, "engine", str),
            server_version=_get(found, "server_version", str),
            tools=_map(found, "tools", str),
            plan=_get(found, "plan", str),
            started=_get_time(found, "started"),
            finished=_get_time(found, "finished"),
            raw_bytes=_get_size(found, "raw_bytes"),
            stored_bytes=_get_size(found, "stored_bytes"),
            raw_sha256=_get_digest(found, "raw_sha256"),
            stored_sha256=_get_digest(found, "stored_sha256"),
            compression=_get(found, "compression", str),
            recipients=_get_names(_get(found, "encryption", dict), "recipients"),
            tables={name: _table(each) for name, each in _map(found, "tables", dict).items()},
            sequences=_map(found, "sequences", str),
            schema=_get(found, "schema", str),
            traits=_get(found, "traits", dict),
        )


def _table(found: Mapping[str, Any]) -> Table:
    return Table(
        rows=_get_size(found, "rows"),
        bytes=_get_size(found, "bytes"),
        digest=_get_digest(found, "digest"),
        columns=_get_names(found, "columns"),
    )


def _get(found: Mapping[str, Any], name: str, kind: type[Value]) -> Value:
    if name not in found:
        raise _unreadable(f"it lacks “{name}”")
    value = found[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _unreadable(f"“{name}” is not a {_KINDS[kind]}")
    return value


def _get_size(found: Mapping[str, Any], name: str) -> int:
    return _checked(found, name, int, lambda size: size >= 0, "a count")


def _get_digest(found: Mapping[str, Any], name: str) -> str:
    return _checked(found, name, str, _is_digest, "a SHA-256")


def _get_names(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(_checked(found, name, list, _all_text, "a list of names"))


def _get_time(found: Mapping[str, Any], name: str) -> datetime:
    try:
        time = datetime.fromisoformat(_get(found, name, str))
    except ValueError:
        raise _unreadable(f"“{name}” is not a time") from None
    if time.tzinfo is None:
        raise _unreadable(f"“{name}” has no time zone")
    return time


def _map(found: Mapping[str, Any], name: str, kind: type[Value]) -> dict[str, Value]:
    inner = _get(found, name, dict)
    return {key: _get(inner, key, kind) for key in inner}


def _checked(
    found: Mapping[str, Any], name: str, kind: type[Value], good: Callable[[Any], bool], what: str
) -> Value:
    value = _get(found, name, kind)
    if not good(value):
        raise _unreadable(f"“{name}” is not {what}")
    return value


def _is_digest(value: str) -> bool:
    return len(value) == 64 and set(value) <= set("0123456789abcdef")


def _all_text(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _unreadable(why: str) -> CorruptError:
    return CorruptError(
        f"The manifest can't be read: {why}.", remedy="Use another backup of this database."
    )


_KINDS: dict[type, str] = {str: "text", int: "number", dict: "JSON object", list: "list"}
