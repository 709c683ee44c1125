"""`GET /task/events/<id>`: what the socket of a task tells, as server-sent events.

The messages are the socket's own, each with its `seq` as the event's id and its `type` as its name:

    id: 8
    event: update
    data: {"type": "update", "seq": 8, "task": {…}}

Who comes back with `Last-Event-ID` (browsers do by themselves) or `?after=<seq>` misses nothing.
The last event is `end`, whose data has `code` and `reason` as sockets close with, 1000 where the
task has ended; who comes back after that is answered 204, which has browsers stop.

It stands in front of Django, whose requests hold a thread each, and answers the good case alone:
whoever is to be refused goes on to the view, which says why.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError

from accounts import policy
from tasks.live import access
from tasks.live.access import Visitor
from tasks.live.consumers import TaskSocket
from tasks.live.database import ask
from tasks.live.mailbox import Change
from tasks.live.socket import TRY_LATER, CloseError, Receive, Send
from tasks.models import Task
from tasks.places import Place
from tasks.states import ENDED

PATH = "/task/events/"
HEARTBEAT_SECONDS = 15.0  # proxies give up after a minute of silence
RETRY_MILLISECONDS = 1000
ENDED_CODE = 1000

Scope = dict[str, Any]
Application = Callable[..., Awaitable[None]]


def in_front_of(pages: Application) -> Application:
    """Answers who may follow a task, and hands all else on."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PATH):
            stream = await _opened(scope, receive, send)
            if stream is not None:
                await stream.run()
                return
        await pages(scope, receive, send)

    return serve


async def _opened(scope: Scope, receive: Receive, send: Send) -> TaskEvents | None:
    """None where there is something to be refused."""
    try:
        pk = UUID(scope["path"][len(PATH) :])
        known = known_seq(scope)
    except ValueError:
        return None
    if scope["method"] != "GET" or str(pk) != scope["path"][len(PATH) :]:
        return None
    try:
        found = await ask(_look, scope, pk)
    except DatabaseError:
        return None
    if found is None:
        return None
    stream = TaskEvents({**scope, "url_route": {"kwargs": {"pk": pk}}}, receive, send)
    stream.visitor, task = found
    stream.known = known
    stream.is_over = task.status in ENDED and known is not None and known >= task.seq
    return stream


def _look(scope: Scope, pk: UUID) -> tuple[Visitor, Task] | None:
    visitor = access.identify_reader(scope)
    if visitor is None:
        return None
    task = policy.visible(visitor.user, Task.objects.filter(pk=pk)).first()
    return None if task is None else (visitor, task)


def known_seq(scope: Scope) -> int | None:
    """What the client has already; raises ValueError for what is no number."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    headers = dict(scope["headers"])
    text = headers.get(b"last-event-id", b"").decode("latin-1") or query.get("after", [""])[-1]
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ValueError(text)
    return int(text)


class TaskEvents(TaskSocket):
    """The same over plain HTTP, until the task has ended."""

    known: int | None = None
    is_over = False
    """Whether the client has been told the end already."""
    _ended = False

    async def run(self) -> None:
        with suppress(OSError):  # it went away while we were talking
            if self.is_over:
                await self._start(204)
                await self._send({"type": "http.response.body", "body": b""})
                return
            await self._start(200)
            await self._write(f"retry: {RETRY_MILLISECONDS}\n\n")
            beating = asyncio.ensure_future(self._keep_alive())
            try:
                await self._talk(self.visitor)
            except CloseError as error:
                await self._tell_end(error.code, error.reason)
            except DatabaseError:
                await self._tell_end(TRY_LATER, "The database can't be asked.")
            finally:
                beating.cancel()
            await self._send({"type": "http.response.body", "body": b""})

    def identify(self) -> Visitor | None:
        return access.identify_reader(self.scope)

    def after(self) -> int | None:
        return self.known

    def asked(self, name: str) -> str:
        return ""

    async def tell(self, kind: str, seq: int, **content: Any) -> None:
        if "task" in content:
            self._ended = content["task"]["status"] in ENDED
        await super().tell(kind, seq, **content)

    async def _say(self, kind: str, seq: int, text: str) -> None:
        await self._write(f"id: {seq}\nevent: {kind}\ndata: {text}\n\n")

    async def _snapshot(self, after: int | None) -> tuple[int, Place | None]:
        told = await super()._snapshot(after)
        self._stop_at_end()
        return told

    async def _tell_change(self, change: Change, told: int) -> int:
        told = await super()._tell_change(change, told)
        self._stop_at_end()
        return told

    def _stop_at_end(self) -> None:
        if self._ended:
            raise CloseError(ENDED_CODE, "The task has ended.")

    async def _tell_end(self, code: int, reason: str) -> None:
        data = json.dumps({"type": "end", "code": code, "reason": reason})
        await self._write(f"event: end\ndata: {data}\n\n")

    async def _keep_alive(self) -> None:
        pause = float(getattr(settings, "LIVE_HEARTBEAT_SECONDS", HEARTBEAT_SECONDS))
        while True:
            await asyncio.sleep(pause)
            await self._write(": here\n\n")

    async def _write(self, text: str) -> None:
        body = text.encode()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _start(self, status: int) -> None:
        headers = [
            (b"cache-control", b"no-store"),
            (b"vary", b"Authorization, Cookie"),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
        ]
        if status == 200:
            headers += [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"x-accel-buffering", b"no"),
            ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
