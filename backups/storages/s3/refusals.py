"""What an S3 server refuses, or what keeps us from reaching it, said in sentences."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import NameResolutionError

from backups.pipeline.errors import StorageError

FAILURES = (ClientError, BotoCoreError, ResponseParserError, ValueError, RecursionError)
"""What a call raises when it did not work; the last when redirections lead round and round."""

_UNREACHED = (BotoConnectionError, HTTPClientError, IncompleteReadError)
_THROTTLES = {"SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "429"}
_PASSING = _THROTTLES | {
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "OperationAborted",
    "ConditionalRequestConflict",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
}

# code: what is so, what to do, whether trying again can't help
_REFUSALS = {
    "InvalidAccessKeyId": (
        "does not know the access key",
        "Correct the destination's access key.",
        True,
    ),
    "SignatureDoesNotMatch": (
        "refused the secret key",
        "Enter the destination's secret key again.",
        True,
    ),
    "AccessDenied": (
        "does not allow this to the access key",
        "Give it the right to list, read, write and delete in the bucket.",
        True,
    ),
    "NoSuchBucket": ("does not exist", "Create it, or correct the bucket's name.", True),
    "NoSuchServer": (
        "can't be used: what answers there is no S3 server",
        "Correct the destination's endpoint.",
        True,
    ),
    "RequestTimeTooSkewed": (
        "refused because the clocks of both machines differ",
        "Set this machine's clock (NTP).",
        True,
    ),
    "PermanentRedirect": ("is in another region", "Correct the destination's region.", True),
    "QuotaExceeded": ("is over its quota", "Remove old backups or have the quota raised.", False),
    "NoSuchUpload": (
        "lost the upload: it was ended from outside",
        "Look for a lifecycle rule or a program that ends unfinished uploads.",
        False,
    ),
    "SlowDown": ("is overloaded and asks for patience", "Try again later.", False),
    "ServiceUnavailable": ("is not ready", "Look at the storage server.", False),
    "InternalError": ("has a fault of its own", "Look at the storage server's log.", False),
}
_SAME_AS = {
    "Forbidden": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "InvalidToken": "InvalidAccessKeyId",
    "RequestExpired": "RequestTimeTooSkewed",
    "AuthorizationHeaderMalformed": "PermanentRedirect",
    "IllegalLocationConstraintException": "PermanentRedirect",
    "XMinioAdminBucketQuotaExceeded": "QuotaExceeded",
    # Answers without a body have the status for a code.
    "301": "PermanentRedirect",
    "307": "PermanentRedirect",
    "403": "AccessDenied",
    "404": "NoSuchServer",
    "405": "NoSuchServer",
    "500": "InternalError",
    "503": "ServiceUnavailable",
    "507": "QuotaExceeded",
    **dict.fromkeys(_THROTTLES, "SlowDown"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A bucket at an endpoint, as people are told of it."""

    bucket: str
    endpoint: str
    """Host and port with the scheme; empty for Amazon's own."""

    def __str__(self) -> str:
        return f"The bucket {self.bucket} at {self.endpoint or 'Amazon S3'}"


def code_of(error: BaseException | None) -> str:
    """The server's word for what it refused; empty where it said nothing."""
    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The answer's HTTP status; 0 where it had none."""
    told: Any = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return int(told)


def is_throttle(error: BaseException | None) -> bool:
    """Whether the server asks for patience."""
    return code_of(error) in _THROTTLES


def is_passing(error: BaseException) -> bool:
    """Whether the same call may work in a moment."""
    if isinstance(error, ClientError):
        return code_of(error) in _PASSING or status_of(error) in (429, 500, 502, 503, 504)
    hopeless = (
        isinstance(error, ProxyConnectionError)
        or _is_unknown_host(error)
        or _is_distrust(error)
        or _goes_round(error)
    )
    return isinstance(error, _UNREACHED) and not hopeless


def explained(error: Exception, place: Place) -> StorageError:
    """The sentence and remedy for that failure; holds no key and nothing the caller sent."""
    what, remedy, permanent = _told(error)
    return StorageError(f"{place} {what}.", remedy=remedy, permanent=permanent)


def no_server(place: Place) -> StorageError:
    """What answers speaks HTTP, and nothing that an S3 server would say."""
    return explained(ResponseParserError(), place)


def _told(error: Exception) -> tuple[str, str, bool]:
    if isinstance(error, ClientError):
        return _refused(error)
    if isinstance(error, ResponseParserError):
        return _REFUSALS["NoSuchServer"]
    if _goes_round(error):
        return _REFUSALS["PermanentRedirect"]
    if not isinstance(error, _UNREACHED):
        return "has no usable address", "Correct endpoint, bucket and region.", True
    return _unreached(error)


def _refused(error: ClientError) -> tuple[str, str, bool]:
    code, status = code_of(error), status_of(error)
    known = _REFUSALS.get(_SAME_AS.get(code, code))
    if known is None and status >= 500:
        known = _REFUSALS["InternalError"]
    said = f"refused: {code or f'status {status}'}"
    return known or (said, "Look at the storage server's log.", False)


def _unreached(error: Exception) -> tuple[str, str, bool]:
    if _is_unknown_host(error):
        return "can't be found: no such host", "Correct the destination's endpoint.", True
    if _is_distrust(error):
        remedy = "Use https with a certificate that this machine trusts, or http."
        return "can't be reached securely", remedy, True
    if isinstance(error, ProxyConnectionError):
        return "can't be reached through the proxy", "Look at HTTPS_PROXY.", False
    if isinstance(error, ConnectTimeoutError):
        remedy = "Look whether a firewall or a wrong address swallows the connection."
        return "can't be reached: no answer to connecting", remedy, False
    if isinstance(error, EndpointConnectionError):
        remedy = "Start the storage server, or correct the destination's endpoint."
        return "can't be reached: no connection", remedy, False
    if isinstance(error, ReadTimeoutError) or _is_stuck(error):
        return "took a request and did not answer", "Look at the storage server.", False
    remedy = "Look at the storage server and the network between."
    return f"broke the connection ({type(error).__name__})", remedy, False


def _goes_round(error: BaseException) -> bool:
    """Redirected again and again; wherever in a call the stack came to its end."""
    return isinstance(error, RecursionError) or isinstance(_inner(error), RecursionError)


def _is_unknown_host(error: BaseException) -> bool:
    inner = _inner(error)
    cause = inner.__cause__ if isinstance(inner, NameResolutionError) else None
    return isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN


def _is_distrust(error: BaseException) -> bool:
    """A certificate nobody vouches for, or no TLS at all; a TLS connection that broke is not."""
    inner = _inner(error) if isinstance(error, SSLError) else None
    cause = inner.args[0] if inner is not None and inner.args else None
    return isinstance(cause, ssl.SSLCertVerificationError) or (
        isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER"
    )


def _is_stuck(error: BaseException) -> bool:
    """The server stopped to take what was sent."""
    inner = _inner(error)
    return inner is not None and any(isinstance(cause, TimeoutError) for cause in inner.args)


def _inner(error: BaseException) -> BaseException | None:
    """What botocore's error stands for."""
    inner = getattr(error, "kwargs", {}).get("error")
    return inner if isinstance(inner, BaseException) else None
