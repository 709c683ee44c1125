"""Whatever else Apprise knows by an address: mail, ntfy, Matrix, Telegram, plain webhooks, …

Apprise is imported when it is needed: it takes half a second. What it would log may hold the
address, which is a secret, so it logs nothing.
"""

from __future__ import annotations

import logging
import warnings
from types import ModuleType
from typing import Any

from tasks.errors import JobError, PermanentError

logging.getLogger("apprise").disabled = True


def knows(address: str) -> bool:
    """Whether that is an address of some service, as far as its form tells."""
    return _service(address) is not None


def send(address: str, title: str, text: str) -> None:
    """Raises JobError, which never holds the address."""
    apprise = _loaded()
    service = _service(address)
    if service is None:
        raise PermanentError("Apprise knows no service by this address.", remedy="Correct it.")
    try:
        done = service.notify(
            title=title, body=text or title, body_format=apprise.NotifyFormat.TEXT
        )
    except Exception as error:  # of whichever of its hundred services
        raise JobError(f"The service failed with {type(error).__name__}.") from None
    if not done:
        raise JobError(
            f"The {service.service_name or 'Apprise'} service refused the message or does not "
            "answer.",
            remedy="Check its address and what it allows.",
        )


def _service(address: str) -> Any:
    apprise = _loaded()
    asset = apprise.AppriseAsset(app_id="Backdrop", app_desc="Backdrop", async_mode=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it loads all of its services here, old ones too
            return apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    except Exception:  # its parsers are many; what breaks one is no address
        return None


def _loaded() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import apprise
    return apprise
