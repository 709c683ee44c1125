"""Patterns of media types: `text/csv`, `image/*` for all images, `*/*` for everything."""

from __future__ import annotations

import re
from collections.abc import Sequence

EVERYTHING = "*/*"
_NAME = r"[a-z0-9][a-z0-9!#$&^_.+-]*"  # RFC 6838, in small letters
_PATTERN = re.compile(rf"\*/\*|{_NAME}/(\*|{_NAME})")


def is_pattern(text: str) -> bool:
    return _PATTERN.fullmatch(text) is not None


def matches(found: str, pattern: str) -> bool:
    """Whether a type, or all that another pattern takes, is taken by `pattern`."""
    kind, _, rest = pattern.partition("/")
    return found == pattern or (rest == "*" and (kind == "*" or found.startswith(f"{kind}/")))


def common(some: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """Patterns for what both take; none where they have nothing in common."""
    both = [
        one if matches(one, other) else other
        for one in some
        for other in others
        if matches(one, other) or matches(other, one)
    ]
    return tuple(dict.fromkeys(both))
