"""The id in an upload's address: unguessable, and made anew from the row rather than kept.

Who reads the database learns no address from it: half of the id is the row's own, half a MAC
under the site's secret.
"""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.encoding import force_str

PATH = "/task/upload/"
_SALT = "tasks.uploads"
_OWN_LENGTH = 22  # characters of 16 bytes in base64
_MAC_BYTES = 18


def of(pk: UUID) -> str:
    """What stands behind `/task/upload/`."""
    return _encoded(pk.bytes) + _mac(pk, settings.SECRET_KEY)


def path_of(pk: UUID) -> str:
    return PATH + of(pk)


def opened(capability: str) -> UUID | None:
    """The upload it stands for; None where it is none of ours."""
    own, mac = capability[:_OWN_LENGTH], capability[_OWN_LENGTH:]
    try:
        pk = UUID(bytes=base64.urlsafe_b64decode(own + "=="))
    except (ValueError, binascii.Error):
        return None
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    good = [constant_time_compare(mac, _mac(pk, key)) for key in keys]
    return pk if any(good) and own == _encoded(pk.bytes) else None


def _mac(pk: UUID, secret: str | bytes) -> str:
    found = salted_hmac(_SALT, pk.hex, secret=force_str(secret), algorithm="sha256")
    return _encoded(found.digest()[:_MAC_BYTES])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
