"""Certificates of our own making."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
ELSEWHERE = (x509.DNSName("elsewhere.example"),)
CURVE = ec.SECP256R1
Names = tuple[x509.GeneralName, ...]


@dataclass(frozen=True)
class Pair:
    """Files with a certificate and its key."""

    certificate: Path
    key: Path

    @property
    def settings(self) -> dict[str, str]:
        """What the daemon is told to serve with it."""
        return {"GRPC_TLS_CERT": str(self.certificate), "GRPC_TLS_KEY": str(self.key)}


def authority(folder: Path, name: str) -> Pair:
    """One that signs others."""
    return _made(folder, name, (), signer=None)


def signed(folder: Path, by: Pair, names: Names = HERE, *, ended: bool = False) -> Pair:
    """For this machine, unless other names are given."""
    return _made(folder, "daemon", names, signer=by, ended=ended)


def self_signed(folder: Path, name: str = "grpc", curve: type[ec.EllipticCurve] = CURVE) -> Pair:
    """For this machine, and trusted by whoever is told to."""
    return _made(folder, name, HERE, signer=None, curve=curve)


def _made(
    folder: Path,
    name: str,
    names: Names,
    *,
    signer: Pair | None,
    ended: bool = False,
    curve: type[ec.EllipticCurve] = CURVE,
) -> Pair:
    key = ec.generate_private_key(curve())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, issuer_key = subject, key
    if signer is not None:
        issuer = x509.load_pem_x509_certificate(signer.certificate.read_bytes()).subject
        issuer_key = serialization.load_pem_private_key(signer.key.read_bytes(), None)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=2))
        .not_valid_after(now + timedelta(hours=-1 if ended else 24))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    certificate = builder.sign(issuer_key, hashes.SHA256())
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pair
