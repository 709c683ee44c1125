"""What the upload door answers with, in ASGI's messages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.template.loader import render_to_string

from accounts.rest.problems import MEDIA_TYPE, problem
from tasks.uploads import tus
from tasks.uploads.refusals import UploadError

Send = Callable[[dict[str, Any]], Awaitable[None]]

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # the address is a secret
    "Cache-Control": "no-store",
    # Pages of any origin may send: to know the address is the right to, and no cookie is asked for.
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Location, Retry-After, Tus-Checksum-Algorithm, "
    "Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Concat, Upload-Defer-Length, "
    "Upload-Expires, Upload-Length, Upload-Metadata, Upload-Offset",
}


async def answer(
    send: Send, status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> None:
    told = {**_ALWAYS, "Tus-Resumable": tus.VERSION, **(headers or {})}
    if status not in (204, 304):
        told["Content-Length"] = str(len(body))
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def answer_json(
    send: Send, status: int, document: Any, headers: Mapping[str, str] | None = None
) -> None:
    body = json.dumps(document).encode()
    await answer(send, status, {"Content-Type": "application/json", **(headers or {})}, body)


async def answer_problem(send: Send, error: UploadError, *, head: bool = False) -> None:
    """A problem document; to HEAD the status alone."""
    document = problem(error.status, error.sentence, title=_TITLES.get(error.status))
    body = b"" if head else json.dumps(document).encode()
    await answer(send, error.status, {"Content-Type": MEDIA_TYPE, **error.headers}, body)


async def answer_page(send: Send, error: UploadError, *, back: str) -> None:
    """The refusal for a person; `back` is where they came from, if that is a page of ours."""
    place = urlsplit(back).path
    context = {
        "sentence": error.sentence,
        "back": place if place.startswith("/files/") else "/files/",
    }
    body = await sync_to_async(render_to_string)("tasks/refused.html", context)
    headers = {"Content-Type": "text/html; charset=utf-8", **error.headers}
    await answer(send, error.status, headers, body.encode())


_TITLES = {tus.MISMATCH: "Checksum Mismatch"}
