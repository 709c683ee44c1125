"""Settings of a web process that is asked nonsense: it may reach this machine and nothing else,
whatever addresses it is told."""

import sys

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from tests.web_settings import *  # noqa: F403

LOOPBACK = ("127.", "::1", "localhost", "/", "\0", "")


def _stay_here(event: str, details: tuple) -> None:
    if event == "socket.connect":
        address = details[1]
    elif event == "socket.getaddrinfo":
        address = details[0]
    else:
        return
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode("latin-1") if isinstance(host, bytes) else host or ""
    if not any(host.startswith(known) if known else not host for known in LOOPBACK):
        raise OSError(f"{host!r} is not on this machine.")


PBKDF2PasswordHasher.iterations = 1
sys.addaudithook(_stay_here)
