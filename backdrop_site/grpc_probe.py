"""Asks the gRPC port of this machine's daemon how it is, as callers from outside reach it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from django.conf import settings
from grpc_health.v1 import health_pb2, health_pb2_grpc

from backdrop_site import grpc_address
from tasks.checks import MissingError
from tasks.exporter import here

SECONDS = 5.0
OPTIONS = (("grpc.enable_http_proxy", 0),)


def ask() -> None:
    """One of the doors of `manage.py alive daemon`: raises MissingError."""
    address = grpc_address.of(here(settings.HOST), settings.GRPC_PORT)
    try:
        with _channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    except grpc.RpcError as error:
        expired = "certificate has expired" in (error.details() or "")
        remedy = "Its certificate has expired." if expired else "The daemon's log says why."
        raise MissingError(f"gRPC does not answer at {address}.", remedy=remedy) from None
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise MissingError(
            f"gRPC at {address} says that it can't serve.", remedy="Is its database there?"
        )


def _channel(address: str) -> Any:
    """It trusts the daemon's own certificate, whoever signed it and whatever names are in it."""
    if not settings.GRPC_TLS_CERT:
        return grpc.insecure_channel(address, OPTIONS)
    pem = Path(settings.GRPC_TLS_CERT).read_bytes()
    named = ("grpc.ssl_target_name_override", _name_in(pem))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(pem), (*OPTIONS, named))


def _name_in(pem: bytes) -> str:
    """One that the certificate is good for."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        [common] = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[:1]
        return str(common.value)
    dns = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    return str([*dns, *addresses][0]).replace("*", "daemon")
