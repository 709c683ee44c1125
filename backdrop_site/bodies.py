"""In front of Django: no body is taken that is larger than any form or document of ours.

Django writes a body to the disk, however large, before a view can say that it wants none; and one
that comes in chunks, without its length, REST framework takes for none at all. So these are read
here, and handed on with their length. Files have a door of their own (`tasks.uploads.door`), before
this one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from accounts.rest.problems import MEDIA_TYPE, problem

MOST_BYTES = 4 << 20
LINGER_SECONDS = 5.0
"""For which more is read after a refusal: who still sends when a connection is closed may never
read why."""

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[..., Awaitable[None]]


class _TooLargeError(Exception):
    pass


def bounded(pages: Application) -> Application:
    """413 for what is larger, as soon as that is known."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        told = dict(scope["headers"])
        try:
            if b"content-length" in told:
                if int(told[b"content-length"]) > MOST_BYTES:
                    raise _TooLargeError
            elif b"transfer-encoding" in told:
                scope, receive = await _measured(scope, receive)
            await pages(scope, receive, send)
        except _TooLargeError:
            await _refuse(receive, send)

    return serve


async def _measured(scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
    """The same request, its body read and its length told."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return scope, _replayed(message, receive)
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MOST_BYTES:
            raise _TooLargeError
    others = [pair for pair in scope["headers"] if pair[0] != b"transfer-encoding"]
    length = (b"content-length", str(len(body)).encode())
    whole = {"type": "http.request", "body": bytes(body), "more_body": False}
    return {**scope, "headers": [*others, length]}, _replayed(whole, receive)


def _replayed(first: Message, receive: Receive) -> Receive:
    waiting = [first]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


async def _refuse(receive: Receive, send: Send) -> None:
    told = f"A body here has {MOST_BYTES} bytes at most. Files go to the address of an upload."
    body = json.dumps(problem(413, told)).encode()
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), "connection": "close"}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 413, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body", "body": b""})
