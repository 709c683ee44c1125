"""The upload door: `/task/upload/…`, an ASGI application in front of Django.

    POST /task/upload/          makes an upload (tus: creation, with or without its first bytes)
    POST /task/upload/<id>      the whole file, as a raw body or the form's field `file`
    POST …/<id>/complete        the parts that were sent to S3 itself are all there
    HEAD, PATCH, DELETE <id>    tus: how far it is, some more of it, no more of it

The id is a capability: who has it may send, whoever that is. Only to make an upload one logs in.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.urls import reverse

from accounts.outages import outage
from tasks.errors import IdempotencyConflictError, UnknownJobError
from tasks.live import report
from tasks.models import Upload
from tasks.uploads import (
    capability,
    creating,
    direct,
    joining,
    receiving,
    refusals,
    room,
    sessions,
    tus,
)
from tasks.uploads.answers import Send, answer, answer_json, answer_page, answer_problem
from tasks.uploads.multipart import FormFile
from tasks.uploads.receiving import GoneError, Receive, body_of, in_thread
from tasks.uploads.refusals import UploadError

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Application = Callable[..., Awaitable[None]]
METHODS = "POST, HEAD, PATCH, DELETE, OPTIONS"
PREFLIGHT = {
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Tus-Resumable, "
    "Upload-Checksum, Upload-Concat, Upload-Defer-Length, Upload-Length, Upload-Metadata, "
    "Upload-Offset, X-HTTP-Method-Override, X-Request-ID, X-Requested-With",
    "Access-Control-Max-Age": "86400",
}


def in_front_of(pages: Application) -> Application:
    """Takes the requests for uploads, and hands all others on."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and f"{path}/".startswith(capability.PATH):
            await Door(scope, receive, send).serve()
        else:
            await pages(scope, receive, send)

    return serve


class Door:
    """One request."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        name = scope["path"][len(capability.PATH) :]
        self.name = name.removesuffix(direct.COMPLETE)
        self.completes = self.name != name
        self.told = self.headers()
        self.method = (self.told.get("x-http-method-override") or scope["method"]).upper()

    def headers(self) -> dict[str, str]:
        """By lower-case name. Asked after the body they hold its trailers too."""
        return {
            name.decode("latin-1"): value.decode("latin-1") for name, value in self.scope["headers"]
        }

    async def serve(self) -> None:
        """Answer, whatever happens; what nobody expected is a 500 that says nothing."""
        try:
            await self._serve()
        except UploadError as error:
            await self._refuse(error)
        except GoneError:
            pass  # nobody is there to be answered
        except Exception as error:
            await self._refuse(_unforeseen(error))

    async def _serve(self) -> None:
        if self.method == "OPTIONS":
            able = await in_thread(tus.abilities)
            await answer(self.send, 200, {**able, "Allow": METHODS, **PREFLIGHT})
        elif not self.name:
            await self._create()
        elif self.method == "POST" and self.completes:
            await self._complete()
        elif self.completes:
            raise UploadError(405, "Use POST.", {"Allow": "POST"})
        elif self.method == "POST":
            await self._take_whole()
        elif self.method in ("HEAD", "PATCH", "DELETE"):
            tus.check_version(self.told)
            upload = await self._find()
            await {"HEAD": self._tell, "PATCH": self._take_more, "DELETE": self._end}[self.method](
                upload
            )
        else:
            raise UploadError(405, f"Use {METHODS}.", {"Allow": METHODS})

    async def _find(self) -> Upload:
        pk = capability.opened(self.name)
        if pk is None:
            raise refusals.unknown()
        return await in_thread(lambda: _known(sessions.find(pk)))

    # Plain HTTP ---------------------------------------------------------------------------------

    async def _take_whole(self) -> None:
        upload = await self._find()
        if upload.kind != Upload.Kind.WHOLE:
            raise UploadError(409, "This is a part of a file: send it with tus.")
        if upload.complete:
            raise refusals.complete(upload)
        await receiving.receive_into(upload, await self._file(upload), whole=True)
        if self._by_form():
            await answer(self.send, 303, {"Location": _page_of(upload)})
            return
        task = await in_thread(lambda: _status(upload))
        await answer_json(self.send, 202, task)

    def _by_form(self) -> bool:
        """Whether a person looks at a page whose form has sent this, without a script."""
        form = self.told.get("content-type", "").lower().startswith("multipart/form-data")
        return form and "text/html" in self.told.get("accept", "")

    async def _refuse(self, error: UploadError) -> None:
        if self._by_form():
            await answer_page(self.send, error, back=self.told.get("referer", "/files/"))
        else:
            await answer_problem(self.send, error, head=self.scope["method"] == "HEAD")

    async def _complete(self) -> None:
        """All parts are at S3, its sender says."""
        upload = await self._find()
        await in_thread(lambda: direct.complete(upload))
        await answer_json(self.send, 202, await in_thread(lambda: _status(upload)))

    async def _file(self, upload: Upload) -> Any:
        """The file in the body, refused where its size is wrong before it is taken."""
        content_type = self.told.get("content-type", "")
        body = body_of(self.receive)
        if content_type.lower().startswith("multipart/form-data"):
            return FormFile(content_type, body).__aiter__()
        size = tus.number(self.told, "Content-Length")
        if size is not None and upload.size is not None and size != upload.size:
            raise refusals.differs("size", f"{upload.size} bytes", f"{size} bytes")
        if size is not None and upload.size is None:
            await in_thread(lambda: room.most_bytes(upload, size))
        return body

    # tus ----------------------------------------------------------------------------------------

    async def _create(self) -> None:
        if self.method != "POST":
            raise UploadError(405, "Use POST or OPTIONS.", {"Allow": "POST, OPTIONS"})
        visitor = await in_thread(lambda: creating.sender(self.scope, self.told))
        tus.check_version(self.told)
        order = creating.Order.read(self.told)
        checking = tus.Checking.of(self.headers)
        self._absolute(capability.PATH)
        brings = self._brings_bytes() and not order.concat.parts
        if brings and order.size is not None:
            self._refuse_beyond(order.size, 0)
        try:
            upload = await in_thread(lambda: creating.create(visitor, order))
        except UnknownJobError as error:
            raise UploadError(400, str(error)) from None
        except IdempotencyConflictError as error:
            raise UploadError(409, str(error)) from None
        if order.concat.parts:
            await in_thread(lambda: joining.join(upload, order.concat.parts))
        headers = {"Location": self._absolute(capability.path_of(upload.pk))}
        if brings or upload.size == 0:
            await self._take_first(upload, checking, headers)
        await answer(self.send, 201, {**headers, **tus.standing(upload)})

    def _brings_bytes(self) -> bool:
        return self.told.get("content-type") == tus.BODY_TYPE

    async def _take_first(
        self, upload: Upload, checking: tus.Checking | None, headers: dict[str, str]
    ) -> None:
        """What is refused of the first bytes doesn't undo that the upload was made: the refusal
        says where it is."""
        if upload.complete:  # the same creation once more
            return
        body = body_of(self.receive)
        try:
            await receiving.receive_into(upload, body, at=0, checking=checking)
        except UploadError as error:
            error.headers |= headers
            raise

    async def _tell(self, upload: Upload) -> None:
        if not upload.complete and upload.kind != Upload.Kind.JOINED:
            await receiving.settle(upload)
        await answer(self.send, 200, tus.standing(upload))

    async def _take_more(self, upload: Upload) -> None:
        if self.told.get("content-type") != tus.BODY_TYPE:
            raise UploadError(415, f"The Content-Type of a PATCH is {tus.BODY_TYPE}.")
        if upload.kind == Upload.Kind.JOINED:
            raise UploadError(403, "A file that is joined from parts takes no bytes itself.")
        at = tus.number(self.told, "Upload-Offset")
        if at is None:
            raise UploadError(400, "The header Upload-Offset is needed.")
        checking = tus.Checking.of(self.headers)
        if upload.complete:
            await self._take_nothing(upload, at)
            return
        size = tus.number(self.told, "Upload-Length")
        if at == upload.offset:  # else the offset is what is wrong, and the writer says so
            whole = upload.size if size is None else size
            if whole is not None and whole >= at:
                self._refuse_beyond(whole, at)
            if upload.size is None:
                end = at + (tus.number(self.told, "Content-Length") or 0)
                await in_thread(lambda: room.most_bytes(upload, end))
        body = body_of(self.receive)
        await receiving.receive_into(upload, body, at=at, size=size, checking=checking)
        await answer(self.send, 204, {"Upload-Offset": str(upload.offset), **tus.expiry(upload)})

    async def _take_nothing(self, upload: Upload, at: int) -> None:
        """The file is there: only who sends nothing more, at its end, is right."""
        if at != upload.offset:
            raise refusals.complete(upload)
        if self.told.get("content-length") != "0":
            error = refusals.complete(upload)
            error.status = 403
            raise error
        await answer(self.send, 204, {"Upload-Offset": str(upload.offset)})

    def _refuse_beyond(self, size: int, at: int) -> None:
        """A body that would go past the end is told before it is taken."""
        end = at + (tus.number(self.told, "Content-Length") or 0)
        if end > size:
            raise UploadError(
                413, f"The file was said to have {size} bytes; this would make {end}."
            )

    async def _end(self, upload: Upload) -> None:
        await in_thread(lambda: sessions.terminate(upload))
        receiving.cut(upload.pk)
        await answer(self.send, 204)

    def _absolute(self, path: str) -> str:
        try:
            return ASGIRequest(self.scope, BytesIO()).build_absolute_uri(path)
        except DisallowedHost:
            raise UploadError(400, "The header Host names another service.") from None


def _unforeseen(error: Exception) -> UploadError:
    if found := outage(error):
        logger.error("An upload failed: %s (%s)", type(error).__name__, found.told)
        again = {"Retry-After": str(found.retry_after)} if found.retry_after else {}
        return UploadError(found.status, found.told, again)
    logger.exception("An upload failed in a way nobody expected")
    return UploadError(500, "Something went wrong here. It has been written to the log.")


def _known(upload: Upload) -> Upload:
    sessions.refuse_gone(upload)
    return upload


def _page_of(upload: Upload) -> str:
    return reverse("file_send", args=[upload.task_id])


def _status(upload: Upload) -> dict[str, Any]:
    task = sessions.find(upload.pk).task
    assert task is not None  # noqa: S101 - a whole file has one
    return report.status_of(task, report.positions([task]).get(task.pk))
