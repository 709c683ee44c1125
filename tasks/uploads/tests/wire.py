"""The upload door without a web process in front of it: one request, and what it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rest_framework_simplejwt.tokens import AccessToken

from tasks.uploads import capability, door

TUS = {"tus-resumable": "1.0.0"}
BODY = {"content-type": "application/offset+octet-stream"}
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `status` is None where nobody was there to be answered."""

    status: int | None
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Wire:
    """Asks the door as a server would, header by header and piece by piece."""

    def __init__(self, user=None) -> None:
        self.token = str(AccessToken.for_user(user)) if user else ""

    def ask(
        self,
        method: str,
        path: str,
        pieces: Sequence[bytes] = (),
        *,
        cut: bool = False,
        **told: str,
    ) -> Answer:
        """With tus's own header. `told` are headers, `_` for `-`; None leaves one out. A `cut`
        request breaks off after its pieces."""
        headers = {**TUS, "host": "127.0.0.1", "authorization": f"Bearer {self.token}"}
        headers |= {name.replace("_", "-"): value for name, value in told.items()}
        raw = [(n.encode(), v.encode()) for n, v in headers.items() if v is not None]
        return self.send(method, path, raw, pieces, cut=cut)

    def send(
        self,
        method: str,
        path: str,
        headers: Headers,
        pieces: Sequence[bytes],
        *,
        cut: bool = False,
    ) -> Answer:
        return asyncio.run(_exchange(_scope(method, path, headers), pieces, cut))


def _scope(method: str, path: str, headers: Headers) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": list(headers),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }


async def _exchange(scope: dict[str, Any], pieces: Sequence[bytes], cut: bool) -> Answer:
    """Holds the answer to ASGI: one start, then a body that ends once, as long as it says."""
    waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    waiting.append({"type": "http.disconnect"} if cut else {"type": "http.request", "body": b""})
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def pages(*_: Any) -> None:
        raise AssertionError(f"{scope['path']} is not for the door")

    await door.in_front_of(pages)(scope, receive, send)
    if not sent:
        return Answer(None, {}, b"")
    start, *bodies = sent
    assert start["type"] == "http.response.start"
    assert [each["type"] for each in bodies] == ["http.response.body"] * len(bodies)
    assert [each.get("more_body", False) for each in bodies] == [True] * (len(bodies) - 1) + [False]
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    assert len(headers) == len(start["headers"]), "each header once"
    content = b"".join(each.get("body", b"") for each in bodies)
    if start["status"] != 204 and scope["method"] != "HEAD":
        assert headers["content-length"] == str(len(content))
    return Answer(start["status"], headers, content)


def path_of(upload) -> str:
    return capability.path_of(upload.pk)
