"""JSON Web Tokens: made at login, renewed, ended, and turned back into the user who holds one.

    tokens.pair_for(user)           -> Pair(access, refresh, expires_in)
    tokens.renewed(refresh)         -> Pair, and the old refresh token is dead
    tokens.end(refresh)             kills it
    tokens.user_of(access)          -> User, for doors that are not REST (sockets, gRPC)
    tokens.end_of(access)           when it expires
    tokens.brief_for(user)          -> an access token of one minute, for calls of our own

Those that take a token raise `InvalidTokenError` for one that is malformed, expired, ended, or
whose user is gone, disabled, or has changed the password since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from django.db import transaction
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from accounts.errors import InvalidTokenError
from accounts.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What a login gives; `expires_in` is the access token's life in seconds."""

    access: str
    refresh: str
    expires_in: int


def pair_for(user: User) -> Pair:
    refresh = RefreshToken.for_user(user)
    return Pair(
        access=str(refresh.access_token),
        refresh=str(refresh),
        expires_in=int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()),
    )


def brief_for(user: User, lifetime: timedelta = timedelta(minutes=1)) -> str:
    token = AccessToken.for_user(user)
    token.set_exp(lifetime=lifetime)
    return str(token)


def renewed(refresh: str) -> Pair:
    """A new pair for a refresh token, which is dead from then on: it works once."""
    with transaction.atomic():
        token = _opened(RefreshToken, refresh)
        user = _holder(token)
        _kill(token)
        return pair_for(user)


def end(refresh: str) -> None:
    _kill(_opened(RefreshToken, refresh))


def user_of(access: str) -> User:
    return _holder(_opened(AccessToken, access))


def end_of(access: str) -> float:
    """When it expires, in seconds since 1970."""
    return float(_opened(AccessToken, access)["exp"])


def _opened(kind: type[Any], raw: str) -> Any:
    try:
        return kind(raw)
    except TokenError as error:
        raise InvalidTokenError from error


def _holder(token: Token) -> User:
    try:
        return cast("User", JWTAuthentication().get_user(token))
    except AuthenticationFailed as error:
        raise InvalidTokenError from error


def _kill(token: Any) -> None:
    _, killed = token.blacklist()
    if not killed:  # somebody else was faster with the same token
        raise InvalidTokenError
