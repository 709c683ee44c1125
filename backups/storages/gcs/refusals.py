"""What Google Cloud Storage refuses, or what keeps us from reaching it, said in sentences."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any

import requests
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from urllib3.exceptions import HTTPError, NameResolutionError, ProtocolError
from urllib3.exceptions import TimeoutError as WaitError

from backups.pipeline.errors import StorageError

FAILURES: tuple[type[Exception], ...] = (
    GoogleAPICallError,
    GoogleAuthError,
    requests.RequestException,
    HTTPError,
    ValueError,
)
"""What a call raises when it did not work."""

GONE = (404, 410, 499)
"""What is answered about an upload that was ended or cancelled."""
_PASSING = (408, 429, 500, 502, 503, 504)
_THROTTLES = {"rateLimitExceeded", "userRateLimitExceeded"}
_UNREACHED = (requests.ConnectionError, requests.Timeout, HTTPError)

# name: what is so, what to do, whether trying again can't help
_REFUSALS = {
    "login": (
        "does not accept the login",
        "Enter the destination's service account key again; look whether it was deleted.",
        True,
    ),
    "key": (
        "can't be logged in to: Google refused the service account key",
        "Enter the key again; look whether it or its service account was deleted or disabled.",
        True,
    ),
    "damaged": (
        "can't be logged in to: the private key in the service account key can't be read",
        "Enter the whole key file again.",
        True,
    ),
    "clock": (
        "refused because this machine's clock is wrong",
        "Set this machine's clock (NTP).",
        True,
    ),
    "nobody": (
        "can't be logged in to: this machine has no identity at Google",
        "Enter a service account key, or run Backdrop where Google Cloud lends it an identity.",
        True,
    ),
    "login server": (
        "can't be logged in to: the server that gives out logins is out of reach",
        "Look at the network; the address is the key's token_uri.",
        False,
    ),
    "forbidden": (
        "does not allow this to the service account",
        "Give it the role Storage Object Admin (roles/storage.objectAdmin) on the bucket.",
        True,
    ),
    "held": (
        "keeps the object: a retention policy or a hold forbids to remove it",
        "Wait until its retention ends, or release the hold.",
        True,
    ),
    "billing": (
        "is closed: its project's billing account does not pay",
        "Look at the project's billing account.",
        True,
    ),
    "payer": (
        "wants to know who pays",
        "Enter the project that is billed into the destination's settings.",
        True,
    ),
    "bucket": ("does not exist", "Create it, or correct the bucket's name.", True),
    "server": (
        "can't be used: what answers there is no server of Google Cloud Storage",
        "Correct the destination's endpoint.",
        True,
    ),
    "upload": (
        "lost the upload: it was ended from outside",
        "Look for a program that cancels uploads; one that is a week old ends by itself.",
        False,
    ),
    "bytes": (
        "got other bytes than were sent",
        "Try again; then look at the network between.",
        False,
    ),
    "quota": ("is over its quota", "Have the quota raised, or try again later.", False),
    "busy": ("is overloaded and asks for patience", "Try again later.", False),
    "fault": ("has a fault of its own", "Look at Google Cloud's status page.", False),
}
_REASONS = {
    **dict.fromkeys(_THROTTLES, "busy"),
    "retentionPolicyNotMet": "held",
    "objectUnderActiveHold": "held",
    "accountDisabled": "billing",
    "billingNotEnabled": "billing",
    "userProjectAccountProblem": "billing",
    "quotaExceeded": "quota",
    "dailyLimitExceeded": "quota",
}
_STATUSES = {401: "login", 403: "forbidden", 404: "bucket", 429: "busy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A bucket at an endpoint, as people are told of it."""

    bucket: str
    endpoint: str
    """Host and port with the scheme; empty for Google's own."""

    def __str__(self) -> str:
        return f"The bucket {self.bucket} at {self.endpoint or 'Google Cloud Storage'}"


class DamagedKeyError(GoogleAuthError):
    """The private key in a service account key can't be read."""


class UploadGoneError(Exception):
    """The server does not know the upload, or no longer."""


def status_of(error: BaseException | None) -> int:
    """The answer's HTTP status; 0 where there was none."""
    return int(error.code or 0) if isinstance(error, GoogleAPICallError) else 0


def is_throttle(error: BaseException | None) -> bool:
    """Whether the server asks for patience."""
    return status_of(error) == 429 or _reason(error) in _THROTTLES


def is_passing(error: BaseException) -> bool:
    """Whether the same call may work in a moment."""
    if isinstance(error, GoogleAPICallError):
        return status_of(error) in _PASSING or is_throttle(error)
    if isinstance(error, GoogleAuthError):
        return isinstance(error, TransportError) or bool(error.retryable)
    hopeless = (
        isinstance(error, requests.exceptions.ProxyError)
        or _is_unknown_host(error)
        or _is_distrust(error)
    )
    broke = isinstance(error, (requests.exceptions.ChunkedEncodingError, *_UNREACHED))
    return broke and not hopeless


def explained(error: Exception, place: Place) -> StorageError:
    """The sentence and remedy for that failure; holds no key and nothing the caller sent."""
    what, remedy, permanent = _told(error)
    return StorageError(f"{place} {what}.", remedy=remedy, permanent=permanent)


def lost(place: Place) -> StorageError:
    """An upload is gone that should be there."""
    what, remedy, permanent = _REFUSALS["upload"]
    return StorageError(f"{place} {what}.", remedy=remedy, permanent=permanent)


def _told(error: Exception) -> tuple[str, str, bool]:
    if isinstance(error, GoogleAPICallError):
        return _refused(error)
    if isinstance(error, GoogleAuthError):
        return _REFUSALS[_login_fault(error)]
    if isinstance(error, (requests.exceptions.ChunkedEncodingError, *_UNREACHED)):
        return _unreached(error)
    if isinstance(error, (requests.exceptions.JSONDecodeError, requests.TooManyRedirects)):
        return _REFUSALS["server"]
    if isinstance(error, requests.RequestException):
        return "has no usable address", "Correct the endpoint.", True
    return _REFUSALS["server"]


def _refused(error: GoogleAPICallError) -> tuple[str, str, bool]:
    status, reason = status_of(error), _reason(error)
    if status in (404, 405) and not _is_google(error):
        return _REFUSALS["server"]
    if status == 400 and "requester pays" in str(error.message):
        return _REFUSALS["payer"]
    if status == 400 and "match calculated" in str(error.message):
        return _REFUSALS["bytes"]
    known = _REASONS.get(reason) or _STATUSES.get(status) or ("fault" if status >= 500 else "")
    if known:
        return _REFUSALS[known]
    return f"refused: {reason or f'status {status}'}", "Look at the bucket's settings.", False


def _login_fault(error: GoogleAuthError) -> str:
    if isinstance(error, DamagedKeyError):
        return "damaged"
    if isinstance(error, DefaultCredentialsError):
        return "nobody"
    if isinstance(error, TransportError) or error.retryable:
        return "login server"
    said = str(error).lower()
    return "clock" if "timeframe" in said or "iat and exp" in said else "key"


def _unreached(error: Exception) -> tuple[str, str, bool]:
    if _is_unknown_host(error):
        return "can't be found: no such host", "Correct the destination's endpoint.", True
    if _is_distrust(error):
        remedy = "Use https with a certificate that this machine trusts, or http."
        return "can't be reached securely", remedy, True
    if isinstance(error, requests.exceptions.ProxyError):
        return "can't be reached through the proxy", "Look at HTTPS_PROXY.", False
    if isinstance(error, requests.ConnectTimeout):
        remedy = "Look whether a firewall or a wrong address swallows the connection."
        return "can't be reached: no answer to connecting", remedy, False
    if isinstance(error, (requests.Timeout, WaitError)) or _is_stuck(error):
        return "took a request and did not answer", "Look at the storage server.", False
    if _is_broken(error):
        remedy = "Look at the storage server and the network between."
        return f"broke the connection ({type(error).__name__})", remedy, False
    remedy = "Start the storage server, or correct the destination's endpoint."
    return "can't be reached: no connection", remedy, False


def _reason(error: BaseException | None) -> str:
    """Google's word for what was refused; empty where there is none."""
    for told in getattr(error, "errors", None) or ():
        if isinstance(told, dict) and isinstance(told.get("reason"), str):
            reason: str = told["reason"]
            return reason if reason.isalnum() else ""
    return ""


def _is_google(error: GoogleAPICallError) -> bool:
    """Whether the answer is of the form in which Google refuses."""
    try:
        body: Any = error.response.json()
    except (AttributeError, ValueError):
        return False
    return isinstance(body, dict) and isinstance(body.get("error"), dict)


def _is_unknown_host(error: BaseException) -> bool:
    inner = _inner(error)
    cause = inner.__cause__ if isinstance(inner, NameResolutionError) else None
    return isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN


def _is_distrust(error: BaseException) -> bool:
    """A certificate nobody vouches for, or no TLS at all; a TLS connection that broke is not."""
    inner = _inner(error)
    cause = inner.args[0] if inner is not None and inner.args else None
    return isinstance(cause, ssl.SSLCertVerificationError) or (
        isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER"
    )


def _is_stuck(error: BaseException) -> bool:
    """The server stopped to take what was sent."""
    inner = _inner(error)
    return inner is not None and any(isinstance(cause, TimeoutError) for cause in inner.args)


def _is_broken(error: BaseException) -> bool:
    return isinstance(error, (HTTPError, requests.exceptions.ChunkedEncodingError)) or isinstance(
        _inner(error), ProtocolError
    )


def _inner(error: BaseException) -> BaseException | None:
    """What the error of requests stands for."""
    inner = error.args[0] if error.args else None
    inner = getattr(inner, "reason", inner)
    return inner if isinstance(inner, BaseException) else None
