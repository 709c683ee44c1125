"""Who is at the other end of a socket: by a bearer token, or by the browser's session cookie.

The token travels as a subprotocol (`bearer`, then the token), never in the address, because
addresses are logged. A cookie is sent along by any page of any site that opens a socket to us,
so with a cookie the page must be one of ours: `Origin` is looked at as Django does for forms.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.utils.http import is_same_domain

from accounts import tokens
from accounts.errors import InvalidTokenError
from accounts.models import User

BEARER = "bearer"
RECHECK_SECONDS = 5.0


class ForeignOriginError(Exception):
    """The session cookie came from a page that isn't ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """An active user, and when the token that says so ends (seconds since 1970)."""

    user: User
    expires_at: float | None = None


def seconds_until_recheck(expires_at: float | None) -> float:
    """How long whoever was identified is told things before it is asked again who they are."""
    pause = float(getattr(settings, "LIVE_RECHECK_SECONDS", RECHECK_SECONDS))
    if expires_at is not None:
        pause = min(pause, expires_at - time.time())
    return max(0.0, pause) + 0.01


def identify(scope: Mapping[str, Any]) -> Visitor | None:
    """Who opened this connection, as things stand now; raises ForeignOriginError.

    Asks the database. Ask again later: users are disabled, tokens expire, sessions end.
    """
    offered = list(scope.get("subprotocols", ()))
    if BEARER in offered:
        token = offered[offered.index(BEARER) + 1 :]
        return _by_token(token[0]) if token else None
    request = ASGIRequest({**scope, "method": "GET", "scheme": _scheme(scope)}, BytesIO())
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    if not _is_ours(request):
        raise ForeignOriginError
    return _by_session(request)


def identify_reader(scope: Mapping[str, Any]) -> Visitor | None:
    """Who only reads by plain HTTP, as REST knows them: `Authorization: Bearer` or the session.

    No page of another site gets to see the answer, so where it was asked from doesn't matter.
    """
    request = ASGIRequest({**scope, "scheme": _scheme(scope)}, BytesIO())
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == BEARER:
        return _by_token(token.strip())
    return _by_session(request) if settings.SESSION_COOKIE_NAME in request.COOKIES else None


def _by_token(raw: str) -> Visitor | None:
    try:
        return Visitor(user=tokens.user_of(raw), expires_at=tokens.end_of(raw))
    except InvalidTokenError:
        return None


def _by_session(request: ASGIRequest) -> Visitor | None:
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = store(request.COOKIES[settings.SESSION_COOKIE_NAME])
    user = get_user(request)
    return Visitor(user=user) if isinstance(user, User) and user.is_active else None


def _is_ours(request: ASGIRequest) -> bool:
    origin = request.headers.get("Origin", "")
    try:
        own = f"{'https' if request.is_secure() else 'http'}://{request.get_host()}"
    except DisallowedHost:
        return False
    return origin == own or any(_trusts(one, origin) for one in settings.CSRF_TRUSTED_ORIGINS)


def _trusts(trusted: str, origin: str) -> bool:
    """`https://*.example.org` trusts every host below it, as in Django."""
    ours, theirs = urlsplit(trusted), urlsplit(origin)
    return ours.scheme == theirs.scheme and (
        ours.netloc == theirs.netloc
        or ("*" in ours.netloc and is_same_domain(theirs.netloc, ours.netloc.lstrip("*")))
    )


def _scheme(scope: Mapping[str, Any]) -> str:
    return "https" if scope.get("scheme") in ("wss", "https") else "http"
