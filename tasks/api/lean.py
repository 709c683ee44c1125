"""The quick way to `GET /task/status/<id>`: in front of Django, for those who poll.

It answers the plain case alone: a good bearer token, a task that its holder may see, nothing to
wait for. All else (sessions, long polls, every refusal) goes on to the view, which says what there
is to say. So there is one contract and one set of words, and the view remains the whole of it.

Who a token's holder is, and which teams they may see, is remembered for two seconds. How the task
stands is asked of Redis where there is one (see `tasks.live.kept`), else of the database each time:
of all who ask while a look is under way, the next look answers at once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection
from django.utils.http import parse_etags

from accounts import policy, tokens
from accounts.errors import InvalidTokenError
from accounts.policy import Verb
from tasks.live import kept, report
from tasks.live.kept import Standing
from tasks.models import Task
from tasks.places import Place

PATH = "/task/status/"
KNOWN_SECONDS = 2.0
HOLDERS_KEPT = 10_000

Scope = dict[str, Any]
Application = Callable[..., Awaitable[None]]
Question = tuple[bytes, UUID]
"""A token, and the task that its holder asks for."""

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="status")
"""It keeps its connection; the view's threads make one for each request."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a token stands for, as of a moment ago."""

    teams: frozenset[int] | None
    """None: all of them."""
    until: float

    def sees(self, team: int) -> bool:
        return self.teams is None or team in self.teams


_holders: OrderedDict[bytes, Holder] = OrderedDict()


def in_front_of(pages: Application) -> Application:
    """Answers plain status polls, and hands all else on."""

    desk = Desk()

    async def serve(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PATH):
            answered = await _try(scope, send, desk)
            if answered:
                return
        await pages(scope, receive, send)

    return serve


async def _try(scope: Scope, send: Any, desk: Desk) -> bool:
    """Whether it was such a case, and is answered."""
    if scope["method"] != "GET" or scope["query_string"]:
        return False
    headers = dict(scope["headers"])
    token, pk = _token(headers), _uuid(scope["path"][len(PATH) :])
    if token is None or pk is None:
        return False
    holder = _known_holder(token)
    found = await kept.get(pk) if holder is not None else None
    if found is None:
        found = await desk.ask(token, pk)
        if found is not None:
            await kept.put(pk, found)
    elif holder is not None and not holder.sees(found.team):
        return False
    if found is None:
        return False
    known = parse_etags(headers.get(b"if-none-match", b"").decode("latin-1"))
    same = "*" in known or found.etag in {tag.removeprefix("W/") for tag in known}
    await _answer(send, 304 if same else 200, b"" if same else found.body, found.etag)
    return True


class Desk:
    """Asks the database, and of all who come meanwhile the next time at once."""

    def __init__(self) -> None:
        self._waiting: dict[Question, asyncio.Future[Standing | None]] = {}
        self._serving: asyncio.Task[None] | None = None

    async def ask(self, token: bytes, pk: UUID) -> Standing | None:
        """None where there is nothing plain to say, or the database doesn't answer."""
        answer = self._waiting.get((token, pk))
        if answer is None:
            answer = self._waiting[token, pk] = asyncio.get_running_loop().create_future()
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        return await asyncio.shield(answer)

    async def _serve(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, {}
                await self._answer(asked)
        finally:
            self._serving = None

    async def _answer(self, asked: dict[Question, asyncio.Future[Standing | None]]) -> None:
        found: dict[Question, Standing] = {}
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(_thread, _look, list(asked))
        except (DatabaseError, InterfaceError):
            pass  # the view says what there is to say
        finally:
            for question, answer in asked.items():
                answer.set_result(found.get(question))


def _token(headers: dict[bytes, bytes]) -> bytes | None:
    kind, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if kind.lower() == b"bearer" else None


def _uuid(text: str) -> UUID | None:
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None


def _look(questions: Iterable[Question]) -> dict[Question, Standing]:
    """Without those to whom there is nothing plain to say. Runs in a thread."""
    try:
        holders = {token: _holder(token) for token in {token for token, _ in questions}}
        tasks = Task.objects.in_bulk({pk for token, pk in questions if holders[token]})
        places = report.positions(tasks.values())
    except (DatabaseError, InterfaceError):
        connection.close()
        raise
    standings = {pk: _standing(task, places.get(pk)) for pk, task in tasks.items()}
    found = {}
    for token, pk in questions:
        holder, standing = holders[token], standings.get(pk)
        if holder is not None and standing is not None and holder.sees(standing.team):
            found[token, pk] = standing
    return found


def _standing(task: Task, place: Place | None) -> Standing:
    body = report.status_of(task, place)
    text = json.dumps(body, separators=(",", ":")).encode()
    return Standing(team=task.team_id, seq=task.seq, etag=report.etag_of(body), body=text)


def _known_holder(token: bytes) -> Holder | None:
    known = _holders.get(token)
    return known if known is not None and known.until > time.monotonic() else None


def _holder(token: bytes) -> Holder | None:
    if known := _known_holder(token):
        return known
    try:
        user = tokens.user_of(token.decode("ascii"))
    except (InvalidTokenError, UnicodeDecodeError):
        _holders.pop(token, None)
        return None
    teams = None
    if not user.is_superuser:
        seen = policy.teams_where(user, Verb.SEE).values_list("pk", flat=True)
        teams = frozenset(seen)
    made = Holder(teams=teams, until=time.monotonic() + KNOWN_SECONDS)
    _holders[token] = made
    while len(_holders) > HOLDERS_KEPT:
        _holders.popitem(last=False)
    return made


async def _answer(send: Any, status: int, body: bytes, etag: str) -> None:
    headers = [
        (b"etag", etag.encode()),
        (b"cache-control", b"private, no-cache"),
        (b"vary", b"Accept, Cookie"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"same-origin"),
    ]
    if status == 200:
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
