"""Where and how the daemon may serve gRPC: what the settings say, without importing grpc."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

TAG = "grpc"
MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL calls a key that is another certificate's."""


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
    unreadable = [sentence for name in named for sentence in _unreadable(name)]
    yield from unreadable
    if len(named) == 2 and not unreadable:
        yield from _unfit(settings.GRPC_TLS_CERT, settings.GRPC_TLS_KEY)
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


def _unfit(certificate: str, key: str) -> Iterator[str]:
    """gRPC itself tells no such pair from a port that is taken."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError:
        yield f"GRPC_TLS_CERT: {certificate} holds no certificate: set it to a PEM file."
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # how long keys should be is not asked here
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")  # else it asks a terminal
    except ssl.SSLError as error:
        if error.reason in MISMATCHES:
            yield (
                f"GRPC_TLS_KEY: {key} is not the key of the first certificate in {certificate}: "
                "set GRPC_TLS_CERT and GRPC_TLS_KEY to files that were made together."
            )
        else:
            yield (
                f"GRPC_TLS_KEY: {key} holds no private key that can be read: set it to a PEM file "
                "without a password."
            )


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
