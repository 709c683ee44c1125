"""A WebSocket that only tells: who opened it, what it is told, and when it is cut off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from django.db import DatabaseError

from tasks.live.access import (
    BEARER,
    ForeignOriginError,
    Visitor,
    identify,
    seconds_until_recheck,
)
from tasks.live.database import ask
from tasks.live.report import Shared

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BAD_REQUEST = 4400
TRY_LATER = 1013
NOT_SIGNED_IN = 4401
NOT_THERE = 4404
DISCONNECTS = ("websocket.disconnect", "http.disconnect")
BEAT_SECONDS = 1.0
MESSAGE_BYTES = 500_000


def split(items: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What goes into one message, and the rest: many clients take no more than a mebibyte."""
    size = 0
    for place, item in enumerate(items):
        size += len(_part(item))
        if size > MESSAGE_BYTES:
            return items[:place], items[place:]
    return items, []


def _json(content: Mapping[str, Any]) -> str:
    """Parts that go to many are made text once."""
    parts = (f"{json.dumps(name)}:{_part(value)}" for name, value in content.items())
    return f"{{{','.join(parts)}}}"


def _part(value: Any) -> str:
    return value.text if isinstance(value, Shared) else json.dumps(value, separators=(",", ":"))


class CloseError(Exception):
    """Ends the socket with a code, told in the close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Socket:
    """Base of the sockets; a subclass says in `stream` what it tells and in `check` to whom.

    It is accepted before it is refused, because browsers show a close code only then; a page of
    another site isn't accepted at all. Nothing the client says is listened to.
    """

    visitor: Visitor

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self._seq = 0  # of the last message

    @classmethod
    async def serve(cls, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """The ASGI application."""
        await cls(scope, receive, send).run()

    async def run(self) -> None:
        await self.receive()  # websocket.connect
        with suppress(OSError):  # it went away while we were talking
            try:
                visitor = await ask(identify, self.scope)
            except ForeignOriginError:
                await self._send({"type": "websocket.close"})
                return
            except DatabaseError:
                await self._accept()
                await self._close(TRY_LATER, "The database can't be asked.")
                return
            await self._accept()
            try:
                await self._talk(visitor)
            except CloseError as error:
                await self._close(error.code, error.reason)
            except DatabaseError:
                await self._close(TRY_LATER, "The database can't be asked.")

    def identify(self) -> Visitor | None:
        """Who is at the other end, as things stand now; asks the database."""
        return identify(self.scope)

    async def _accept(self) -> None:
        protocol = BEARER if BEARER in self.scope.get("subprotocols", ()) else None
        await self._send({"type": "websocket.accept", "subprotocol": protocol})

    async def _close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def _talk(self, visitor: Visitor | None) -> None:
        if visitor is None:
            raise CloseError(NOT_SIGNED_IN, "Sign in first.")
        self.visitor = visitor
        parts = [self.stream(), self._listen(), self._recheck()]
        if self.asked("beat"):
            parts.append(self._beat())
        running = [asyncio.ensure_future(part) for part in parts]
        try:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            for part in running:
                part.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def stream(self) -> None:
        """Tell what there is to tell, for ever; raises CloseError."""
        raise NotImplementedError

    async def check(self) -> None:
        """Whether `visitor` may still be told; raises CloseError."""
        raise NotImplementedError

    async def tell(self, kind: str, seq: int, **content: Any) -> None:
        """Send one message; waits while the client doesn't take what was sent before."""
        self._seq = seq
        await self._say(kind, seq, _json({"type": kind, "seq": seq, **content}))

    async def _say(self, kind: str, seq: int, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    def asked(self, name: str) -> str:
        """A parameter of the address."""
        query: bytes = self.scope.get("query_string", b"")
        return parse_qs(query.decode("latin-1")).get(name, [""])[-1]

    def after(self) -> int | None:
        """The seq that the client knows already; raises CloseError for what is no number."""
        text = self.asked("after")
        if not text:
            return None
        if not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise CloseError(BAD_REQUEST, "`after` must be a whole number.")
        return int(text)

    async def _listen(self) -> None:
        """Until the client goes."""
        while (await self.receive())["type"] not in DISCONNECTS:
            pass

    async def _recheck(self) -> None:
        """Cut off whoever was disabled, left the team, logged out, or whose token has expired."""
        while True:
            await asyncio.sleep(seconds_until_recheck(self.visitor.expires_at))
            try:
                visitor = await ask(self.identify)
                if visitor is None:
                    raise CloseError(NOT_SIGNED_IN, "Sign in again.")
                self.visitor = visitor
                await self.check()
            except DatabaseError:
                continue  # while it is away nothing can be told either

    async def _beat(self) -> None:
        """Say every second how far we have told, for scripts that can't see a dead connection."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self.tell("beat", self._seq)
