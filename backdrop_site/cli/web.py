"""The web process as the commands see it: HTTP with a token, its refusals as sentences.

`http.client` and no library: bodies are sent by hand, block by block, with a look at what became of
each, and that is all there is to it.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from backdrop_site.cli import credentials
from backdrop_site.cli.credentials import Login
from backdrop_site.cli.daemon import Daemon, is_loopback
from backdrop_site.cli.errors import FAILED, NOT_ALLOWED, UNREACHABLE, CommandError

DEFAULT = "http://127.0.0.1:8000"
ANSWER_SECONDS = 60.0
"""How long an answer, or room for the next block, is waited for."""
TRIES_SECONDS = 3.0
_AWAY = (502, 503, 504)
_NAMES = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
LOST = (OSError, HTTPException)
"""What a broken connection raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status, headers by any case of their names, and the whole body."""

    status: int
    headers: Message
    body: bytes

    @classmethod
    def of(cls, response: HTTPResponse) -> Answer:
        return cls(status=response.status, headers=response.headers, body=response.read())

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def refusal(self) -> CommandError:
        """What a problem document says; the fields' own mistakes too."""
        try:
            told = self.json
            parts = [told.get("detail") or told["title"]]
            parts += [f"{name}: {' '.join(each)}" for name, each in told.get("errors", {}).items()]
            sentence = " ".join(parts)
        except (ValueError, KeyError, AttributeError, TypeError):
            sentence = f"The web process answered {self.status}."
        if self.status == 401:
            sentence = f"{sentence} Log in: backdrop login"
        return CommandError(
            sentence,
            exit_code=NOT_ALLOWED if self.status in (401, 403) else FAILED,
            code=_NAMES.get(self.status, "FAILED"),
        )


class Web:
    """`web.ask("GET", "/api/jobs/")`; raises CommandError."""

    def __init__(self, url: str, *, login_at: str, authority: Path | None = None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError(f"{url} is no address of a web process, such as {DEFAULT}.")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._parts, self._login_at, self._authority = parts, login_at, authority

    @classmethod
    def beside(cls, daemon: Daemon, url: str | None) -> Web:
        """The web process at `url`; without one, that of the daemon's own host, so that a login is
        never sent to a host that nobody named."""
        address = daemon.target.address
        if not url:
            host = address.rpartition(":")[0]
            url = DEFAULT if is_loopback(address) else f"https://{host}"
        return cls(url, login_at=address, authority=daemon.target.authority)

    def path_of(self, address: str) -> str:
        """Of an address that the web process told: it may know itself by another name."""
        parts = urlsplit(address)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def connection(self, timeout: float = ANSWER_SECONDS) -> HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return HTTPConnection(host, port, timeout=timeout)
        return HTTPSConnection(host, port, timeout=timeout, context=self._trust)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._authority)

    def once(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One request without a token. Raises what `LOST` names where the connection breaks."""
        connection = self.connection()
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            return Answer.of(connection.getresponse())
        except ssl.SSLCertVerificationError as error:
            raise self._distrusted(error) from None
        finally:
            connection.close()

    def answers(self, *, within: float) -> bool:
        """Whether a web process is there. Raises CommandError where it isn't trusted."""
        connection = self.connection(within)
        try:
            connection.request("GET", self._prefixed("/healthz"))
            return connection.getresponse().status == 200
        except ssl.SSLCertVerificationError as error:
            raise self._distrusted(error) from None
        except LOST:
            return False
        finally:
            connection.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        patience: float = TRIES_SECONDS,
    ) -> Answer:
        """As who is logged in; asked again for a while where nobody answers. Only for what may be
        asked twice. Raises CommandError for a refusal."""
        data = None if body is None else json.dumps(body).encode()
        told = {"Content-Type": "application/json"} if data is not None else {}
        told.update(headers or {})
        until = time.monotonic() + patience
        while True:
            try:
                answer = self._with_token(method, self._prefixed(path), told, data)
            except LOST:
                if time.monotonic() > until:
                    raise self.silent() from None
            else:
                if answer.status not in _AWAY or time.monotonic() > until:
                    break
            time.sleep(0.5)
        if answer.status >= 400:
            raise answer.refusal()
        return answer

    def silent(self) -> CommandError:
        sentence = f"No web process answers at {self.url} (BACKDROP_URL)."
        return CommandError(sentence, exit_code=UNREACHABLE, code="UNAVAILABLE")

    def _prefixed(self, path: str) -> str:
        return self._parts.path.rstrip("/") + path

    def _distrusted(self, error: ssl.SSLCertVerificationError) -> CommandError:
        why = f"The certificate of {self.url} is not trusted: {error.verify_message}."
        sentence = f"{why} Name one to trust: --ca"
        return CommandError(sentence, exit_code=UNREACHABLE, code="UNAVAILABLE")

    # Tokens -------------------------------------------------------------------------------------

    def opened(self, path: str, headers: Mapping[str, str]) -> tuple[HTTPConnection, HTTPResponse]:
        """A GET whose body the caller reads; the connection is the caller's to close."""
        for token in self._tokens():
            connection = self.connection()
            connection.request("GET", path, headers={**headers, **_bearer(token)})
            response = connection.getresponse()
            if response.status != 401:
                break
            connection.close()
        return connection, response

    def _with_token(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        for token in self._tokens():
            answer = self.once(method, path, headers={**headers, **_bearer(token)}, body=body)
            if answer.status != 401:
                break
        return answer

    def _tokens(self) -> Any:
        """The token there is; where that is refused, a new one."""
        own = os.environ.get("BACKDROP_TOKEN", "")
        login = None if own else credentials.read(self._login_at)
        if login is None:
            yield own
            return
        if login.fresh:
            yield login.access
        yield self._renewed(login).access

    def _renewed(self, login: Login) -> Login:
        with credentials.alone():
            known = credentials.read(self._login_at)
            if known is not None and known != login and known.fresh:
                return known  # another process was faster
            answer = self.once(
                "POST",
                self._prefixed("/auth/refresh"),
                headers={"Content-Type": "application/json"},
                body=json.dumps({"refresh": login.refresh}).encode(),
            )
            if answer.status >= 400:
                raise answer.refusal()
            pair = answer.json
            fresh = Login(
                username=login.username,
                access=pair["access"],
                refresh=pair["refresh"],
                expires_at=time.time() + pair["expires_in"],
            )
            credentials.keep(self._login_at, fresh)
        return fresh


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}
