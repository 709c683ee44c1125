"""Where a webhook may lead: to the public internet by TLS, unless this machine's owner allows more.

A name is resolved once, and what is connected to is the address that was looked at: a name that
means something else a moment later leads nowhere.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import quote, urlsplit

from django.conf import settings

PORTS = {"http": 80, "https": 443}
_NAT64 = ip_network("64:ff9b::/96")
_NOBODYS = [ip_network("192.0.0.0/24"), ip_network("168.63.129.16/32")]
"""Where clouds keep their own services, though Python takes these for public."""
_SAFE = "/%:@!$&'()*+,;=~-._"


class RefusedError(ValueError):
    """An address that is not told; the sentence says why, and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address, taken apart."""

    host: str
    port: int
    tls: bool
    path: str
    """With its query."""

    @classmethod
    def of(cls, url: str, *, allow_private: bool | None = None) -> Target:
        """Raises RefusedError for what is no address, and for private ones as far as can be seen
        without asking anybody."""
        private = settings.WEBHOOKS_ALLOW_PRIVATE if allow_private is None else allow_private
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").encode("idna").decode() if parts.hostname else ""
            port = PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
        except (ValueError, UnicodeError):
            raise RefusedError("That is no address: it should be https://host/path.") from None
        schemes = ("https", "http") if private else ("https",)
        if parts.scheme not in schemes or not host or port == 0:
            raise RefusedError(f"The address should be {' or '.join(schemes)}://host/path.")
        if parts.username is not None or parts.password is not None:
            raise RefusedError("An address with a login in it isn't taken: requests are signed.")
        if not private and _names_this_machine(host):
            raise RefusedError(_private(host))
        path = quote(parts.path or "/", safe=_SAFE)
        if parts.query:
            path += "?" + quote(parts.query, safe=_SAFE + "?")
        return cls(host=host, port=port, tls=parts.scheme == "https", path=path)

    @property
    def netloc(self) -> str:
        """As the header Host has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = PORTS["https" if self.tls else "http"]
        return host if self.port == usual else f"{host}:{self.port}"

    async def resolved(self) -> list[str]:
        """The addresses it may be reached at. Raises RefusedError, or OSError where it has none."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        numbers = list(dict.fromkeys(str(each[4][0]) for each in found))
        if not settings.WEBHOOKS_ALLOW_PRIVATE and not all(map(is_public, numbers)):
            raise RefusedError(_private(self.host))
        return numbers


def is_public(number: str) -> bool:
    """Whether an address is one of the internet's: no private, local, reserved or shared one."""
    try:
        found = _unwrapped(ip_address(number))
    except ValueError:  # an IPv6 address with a zone: of one link alone
        return False
    nobodys = any(found in network for network in _NOBODYS)
    return found.is_global and not found.is_multicast and not nobodys


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, in whatever way."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)


def _names_this_machine(host: str) -> bool:
    try:
        return not is_public(str(ip_address(host)))
    except ValueError:
        return host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")


def _private(host: str) -> str:
    return (
        f"{host} is in a private network, and those are not told. "
        "Who runs this service can allow it: WEBHOOKS_ALLOW_PRIVATE."
    )
