"""Ports of loopback for programs that have to be told theirs before they start."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from pathlib import Path

_LOWEST = 10_000
_dice = random.SystemRandom()


def free_port() -> int:
    """One that nobody listens on, and that nobody gets meanwhile who takes whichever is free.

    The kernel draws those from higher up, for listeners and for outgoing connections.
    """
    drawn_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = _dice.randrange(_LOWEST, max(drawn_from, 2 * _LOWEST))
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def free_ports(count: int) -> list[int]:
    """So many different ones."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)
