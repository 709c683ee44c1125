"""Where the gRPC server of this process listens for this process itself."""

from __future__ import annotations

_target = ""


def note(target: str) -> None:
    """Say where, once it does; nothing, when it has stopped."""
    global _target  # noqa: PLW0603 - one server to a process
    _target = target


def target() -> str:
    """What a channel is opened to; empty while no server runs here."""
    return _target
