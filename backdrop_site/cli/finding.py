"""What doctor finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How one thing stands, and how to mend it. Where all is well, a remedy is only advice."""

    what: str
    ok: bool
    detail: str
    remedy: str = ""
