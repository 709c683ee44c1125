"""Where and how the daemon may serve gRPC: what the settings say, without importing grpc."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

TAG = "grpc"


def read() -> str:
    """`HOST:GRPC_PORT`; raises ImproperlyConfigured where that may not be served like this."""
    wrong = list(refusals())
    if wrong:
        raise ImproperlyConfigured(" ".join(wrong))
    return of(settings.HOST, settings.GRPC_PORT)


def of(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refusals() -> Iterator[str]:
    """Why the daemon won't serve as it is set up; one sentence with its remedy each."""
    named = [name for name in ("GRPC_TLS_CERT", "GRPC_TLS_KEY") if getattr(settings, name)]
    if len(named) == 1:
        yield "GRPC_TLS_CERT and GRPC_TLS_KEY go together: set both to files, or neither."
    for name in named:
        yield from _unreadable(name)
    if is_loopback(settings.HOST):
        return
    if not settings.GRPC_REQUIRE_AUTH:
        yield (
            f"GRPC_REQUIRE_AUTH=false lets anybody who reaches {settings.HOST} start backups: "
            "it is only for HOST=127.0.0.1."
        )
    if not named and not settings.GRPC_INSECURE:
        yield (
            f"gRPC on {settings.HOST} needs TLS: set GRPC_TLS_CERT and GRPC_TLS_KEY to files, or "
            "GRPC_INSECURE=true where the network is your own."
        )


def _unreadable(name: str) -> Iterator[str]:
    path = Path(getattr(settings, name))
    try:
        path.read_bytes()
    except OSError as error:
        yield f"{name}: {path} can't be read: {error.strerror}."


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_settings(**options: object) -> list[checks.CheckMessage]:
    """System check: a warning, since web and workers run well without."""
    return [
        checks.Warning(sentence, hint="The daemon won't start like this.", id="backdrop_site.W001")
        for sentence in refusals()
    ]
