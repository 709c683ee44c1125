"""Login, Refresh, Logout: the three methods that take no token in metadata."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from django.http import HttpRequest

from accounts import tokens
from accounts.models import User
from backups.rpc import backup_pb2 as pb
from backups.rpc.database import ask, ask_login
from backups.rpc.refusals import Code, StatusError, told

LONGEST = 1024


class Logins:
    """Part of the servicer."""

    @told
    async def Login(self, request: pb.LoginRequest, context: Any) -> pb.Tokens:
        if max(len(request.username), len(request.password)) > LONGEST:
            raise StatusError.invalid(f"At most {LONGEST} characters.")
        address = address_of(context.peer())
        return await ask_login(_log_in, request.username, request.password, address)

    @told
    async def Refresh(self, request: pb.RefreshRequest, context: Any) -> pb.Tokens:
        return _message(await ask(tokens.renewed, request.refresh))

    @told
    async def Logout(self, request: pb.RefreshRequest, context: Any) -> pb.LogoutResponse:
        await ask(tokens.end, request.refresh)
        return pb.LogoutResponse()


def _log_in(username: str, password: str, address: str) -> pb.Tokens:
    """Guesses are counted by address, as at the other doors."""
    origin = HttpRequest()
    origin.META["REMOTE_ADDR"] = address
    user = authenticate(origin, username=username, password=password)
    if not isinstance(user, User):
        raise StatusError(Code.UNAUTHENTICATED, "Wrong name or password.")
    update_last_login(User, user)
    return _message(tokens.pair_for(user))


def _message(pair: tokens.Pair) -> pb.Tokens:
    return pb.Tokens(access=pair.access, refresh=pair.refresh, expires_in=pair.expires_in)


def address_of(peer: str) -> str:
    """`10.0.0.7` of `ipv4:10.0.0.7:4711`; empty where it has none."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""
