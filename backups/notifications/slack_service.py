"""Slack's incoming webhooks: one POST of `{"text": …}`."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request

from tasks.errors import JobError, PermanentError

TIMEOUT_SECONDS = 10.0
TRY_AGAIN = {408, 425, 429}
_TOO_LONG = 3000


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A webhook that leads elsewhere is none."""

    def redirect_request(self, *args: object, **options: object) -> None:
        return None


def send(address: str, title: str, text: str) -> None:
    """Raises JobError, which never holds the address: its path is the secret."""
    body = json.dumps({"text": escaped(f"{title}\n{text}" if text else title)[:_TOO_LONG]})
    request = urllib.request.Request(  # noqa: S310 - the channel's own rule allows http(s) alone
        address, body.encode(), {"Content-Type": "application/json", "User-Agent": "Backdrop"}
    )
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        raise _refused(error.code, error.headers.get("Retry-After", "")) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise JobError(
            f"The Slack webhook can't be reached ({_kind(error)}).",
            remedy="Check its address and the way there.",
        ) from None


def escaped(text: str) -> str:
    """As Slack asks, so that no name or error mentions anybody or makes a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _refused(status: int, retry_after: str) -> JobError:
    sentence = f"The Slack webhook answered {status}."
    if status >= 500 or status in TRY_AGAIN:
        wait = min(60.0, float(retry_after)) if retry_after.isdecimal() else None
        return JobError(sentence, retry_after=wait)
    return PermanentError(sentence, remedy="Make a new webhook in Slack and put it in its place.")


def _kind(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLError):
        return "TLS failed"
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return type(reason).__name__
