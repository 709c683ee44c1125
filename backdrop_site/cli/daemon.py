"""The daemon as the commands see it: calls with a token, and following work to its end."""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from backdrop_site.cli import credentials
from backdrop_site.cli.credentials import Login
from backdrop_site.cli.errors import NOT_ALLOWED, Code, CommandError, of_call
from backups.rpc import backup_pb2 as pb
from backups.rpc.backup_pb2_grpc import BackupServiceStub

Notice = Callable[[str], None]

DEFAULT = "127.0.0.1:50051"
CALL_SECONDS = 20.0
BEGIN_SECONDS = 3.0
"""How long work that has a key is asked for again where nobody answers."""
LOST_SECONDS = 60.0
"""How long a lost connection is tried again while work is followed."""
OPTIONS = (
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 20_000),  # a daemon whose machine has gone is noticed
    ("grpc.keepalive_timeout_ms", 10_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the daemon is, and how to talk to it."""

    address: str
    tls: bool
    authority: Path | None = None
    """Certificates to trust instead of the system's."""

    def channel(self) -> Any:
        if not self.tls:
            return grpc.insecure_channel(self.address, OPTIONS)
        trusted = self.authority.read_bytes() if self.authority else None
        return grpc.secure_channel(self.address, grpc.ssl_channel_credentials(trusted), OPTIONS)


def is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Daemon:
    """`daemon.call("GetBackup", pb.GetBackupRequest(…))`; raises CommandError."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._channel: Any = None

    @property
    def channel(self) -> Any:
        if self._channel is None:
            self._channel = self.target.channel()
        return self._channel

    def call(self, method: str, request: Any, *, timeout: float = CALL_SECONDS) -> Any:
        try:
            return self._with_token(
                lambda metadata: self._stub(method)(request, timeout=timeout, metadata=metadata)
            )
        except grpc.RpcError as error:
            raise self._refusal(error) from None

    def begin(self, method: str, request: Any) -> Any:
        """A call whose idempotency key makes it safe to ask again when the answer was lost."""
        until = time.monotonic() + BEGIN_SECONDS
        while True:
            try:
                return self.call(method, request)
            except CommandError as error:
                if error.code != "UNAVAILABLE" or time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def follow(
        self, request: pb.BackupRequest, *, notice: Notice, begun: bool = False
    ) -> Iterator[pb.ProgressUpdate]:
        """Every update, the last one `ended`.

        Once it has begun, a connection that is lost is mended for a while, of which `notice` is
        told, and a token that expires is renewed.
        """
        lost: float | None = None
        while True:
            fresh = True
            try:
                for update in self._stream(request):
                    if lost is not None:
                        notice("Connected again.")
                    lost, fresh, begun = None, False, True
                    request = pb.BackupRequest(backup_id=update.backup_id)
                    yield update
                    if update.ended:
                        return
            except grpc.RpcError as error:
                if error.code() == Code.UNAUTHENTICATED and not fresh and self._login():
                    continue
                if error.code() != Code.UNAVAILABLE or not begun:
                    raise self._refusal(error) from None
                if lost is None:
                    lost = time.monotonic()
                    notice(f"The connection is lost. Trying again for {LOST_SECONDS:.0f} s.")
                if time.monotonic() - lost > LOST_SECONDS:
                    raise self._refusal(error) from None
                time.sleep(1.0)

    def _stream(self, request: pb.BackupRequest) -> Iterator[pb.ProgressUpdate]:
        yield from self._with_token(lambda metadata: self._opened(request, metadata))

    def _opened(self, request: pb.BackupRequest, metadata: Any) -> Iterator[pb.ProgressUpdate]:
        """The stream, once it is known that the token is taken: there is a first update."""
        stream = self._stub("StreamProgress")(request, metadata=metadata)
        first = next(stream, None)
        return iter(()) if first is None else _chain(first, stream)

    def _stub(self, method: str) -> Callable[..., Any]:
        call: Callable[..., Any] = getattr(BackupServiceStub(self.channel), method)
        return call

    def _refusal(self, error: grpc.RpcError) -> CommandError:
        if error.code() == Code.UNAUTHENTICATED:
            return self._not_logged_in()
        return of_call(error, self.target.address, tls=self.target.tls)

    def _not_logged_in(self) -> CommandError:
        address = self.target.address
        if os.environ.get("BACKDROP_TOKEN"):
            sentence = (
                f"BACKDROP_TOKEN is no token that is good at {address}, or no longer. "
                "Set a new one; or unset it and log in: backdrop login"
            )
        elif self._login():
            sentence = f"Your login at {address} has ended. Log in again: backdrop login"
        else:
            sentence = f"You are not logged in at {address}. Log in: backdrop login"
        return CommandError(sentence, exit_code=NOT_ALLOWED, code="UNAUTHENTICATED")

    # Tokens -------------------------------------------------------------------------------------

    def _with_token(self, call: Callable[[Any], Any]) -> Any:
        """Call with the token that is there; once more with a new one where it has expired."""
        login = self._login()
        try:
            return call(_metadata(self._token(login)))
        except grpc.RpcError as error:
            if error.code() != Code.UNAUTHENTICATED or login is None:
                raise
            return call(_metadata(self._renewed(login).access))

    def _login(self) -> Login | None:
        if os.environ.get("BACKDROP_TOKEN"):
            return None
        return credentials.read(self.target.address)

    def _token(self, login: Login | None) -> str:
        if login is None:
            return os.environ.get("BACKDROP_TOKEN", "")
        return login.access if login.fresh else self._renewed(login).access

    def _renewed(self, login: Login) -> Login:
        with credentials.alone():
            known = credentials.read(self.target.address)
            if known is not None and known != login and known.fresh:
                return known  # another process was faster
            pair = self._stub("Refresh")(
                pb.RefreshRequest(refresh=login.refresh), timeout=CALL_SECONDS
            )
            fresh = login_of(login.username, pair)
            credentials.keep(self.target.address, fresh)
        return fresh

    def log_in(self, username: str, password: str) -> None:
        try:
            pair = self._stub("Login")(
                pb.LoginRequest(username=username, password=password), timeout=CALL_SECONDS
            )
        except grpc.RpcError as error:
            if error.code() == Code.UNAUTHENTICATED:
                raise CommandError(
                    error.details(), exit_code=NOT_ALLOWED, code="UNAUTHENTICATED"
                ) from None
            raise self._refusal(error) from None
        with credentials.alone():
            credentials.keep(self.target.address, login_of(username, pair))

    def log_out(self) -> bool:
        """Whether somebody was logged in; the tokens are forgotten even if nobody answers."""
        login = credentials.read(self.target.address)
        if login is None:
            return False
        with credentials.alone():
            credentials.forget(self.target.address)
        try:
            self._stub("Logout")(pb.RefreshRequest(refresh=login.refresh), timeout=5)
        except grpc.RpcError as error:
            if error.code() != Code.UNAUTHENTICATED:  # dead already
                raise self._refusal(error) from None
        return True


def connect(address: str, tls: bool | None, ca: Path | None) -> Daemon:
    if tls is None:
        tls = ca is not None or not is_loopback(address)
    return Daemon(Target(address=address, tls=tls, authority=ca))


def login_of(username: str, pair: pb.Tokens) -> Login:
    return Login(
        username=username,
        access=pair.access,
        refresh=pair.refresh,
        expires_at=time.time() + pair.expires_in,
    )


def _metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),) if token else ()


def _chain(first: Any, rest: Any) -> Iterator[Any]:
    yield first
    yield from rest
