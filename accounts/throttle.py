"""How often a password may be guessed: counted in the database, so in all processes together."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.errors import TooManyTriesError
from accounts.models import FailedLogin

if TYPE_CHECKING:
    from django.http import HttpRequest

WINDOW = timedelta(minutes=5)
PER_NAME_AND_ADDRESS = 5
PER_ADDRESS = 50


@dataclass(frozen=True, slots=True)
class Tries:
    """The failed logins of one name from one address, and of that address in all."""

    who: str
    origin: str

    @classmethod
    def of(cls, username: str, request: HttpRequest | None) -> Tries:
        network = _network(request.META.get("REMOTE_ADDR", "") if request else "")
        return cls(
            who=_digest(f"{username.strip().casefold()}\0{network}"), origin=_digest(network)
        )

    def check(self, *, ours: int = 0) -> None:
        """Raise TooManyTriesError when others than the `ours` just counted use up the limit."""
        waits = [
            self._wait(PER_NAME_AND_ADDRESS + ours, who=self.who),
            self._wait(PER_ADDRESS + ours, origin=self.origin),
        ]
        if any(waits):
            raise TooManyTriesError(max(waits))

    def count(self) -> None:
        now = timezone.now()
        FailedLogin.objects.filter(at__lt=now - WINDOW).delete()
        FailedLogin.objects.create(who=self.who, origin=self.origin, at=now)

    def forget(self) -> None:
        FailedLogin.objects.filter(who=self.who).delete()

    def _wait(self, limit: int, **which: str) -> int:
        """Whole seconds until fewer than `limit` failures lie in the window; 0 if so already."""
        now = timezone.now()
        recent = FailedLogin.objects.filter(at__gt=now - WINDOW, **which).order_by("-at")
        decisive = recent.values_list("at", flat=True)[limit - 1 : limit].first()
        return 0 if decisive is None else int((decisive + WINDOW - now).total_seconds()) + 1


def _network(address: str) -> str:
    """The address; of IPv6 the /64, since one machine commonly has all of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False))


def _digest(text: str) -> str:
    return salted_hmac("accounts.throttle", text, algorithm="sha256").hexdigest()
