"""`GET /task/result/<id>`: what a task has brought, as a download or as JSON."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import policy
from accounts.models import User
from accounts.policy import Verb
from accounts.rest.problems import MEDIA_TYPE, problem
from tasks import clock
from tasks.api.asynchronous import AsyncView
from tasks.api.refusing import refusal
from tasks.api.serializers import RefusalSerializer
from tasks.live import report
from tasks.models import Artifact, Task
from tasks.states import Status
from tasks.uploads import files

BLOCK = 1 << 18
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")
NO_RESULT = {
    (409, MEDIA_TYPE): OpenApiResponse(RefusalSerializer, "No result (yet); `task` says why."),
    (410, MEDIA_TYPE): OpenApiResponse(RefusalSerializer, "It expired."),
}
ARTIFACT = OpenApiParameter(
    "artifact", OpenApiTypes.STR, description="The name of one, where a task has brought several"
)
ACCEPT = OpenApiParameter(
    "Accept",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Just `application/json` asks for the JSON result, whatever files there are",
)
RANGE = OpenApiParameter(
    "Range", OpenApiTypes.STR, OpenApiParameter.HEADER, description="One range of bytes"
)


class ResultView(AsyncView):
    @extend_schema(
        operation_id="task_result",
        parameters=[ARTIFACT, ACCEPT, RANGE],
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
            302: OpenApiResponse(description="Fetch it there, where the service is set up so."),
            304: OpenApiResponse(description="It is what that ETag says."),
            416: OpenApiResponse(description="The file has no such bytes."),
            **NO_RESULT,
        },
    )
    async def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        """What the task has brought: its file, or its JSON result where it has none or many."""
        task, artifacts = await sync_to_async(_find)(cast("User", request.user), pk)
        if task.status != Status.SUCCEEDED:
            return await sync_to_async(_no_result)(task)
        chosen = _chosen(request, artifacts)
        at = _end_of(task, chosen)
        if at <= await sync_to_async(clock.read)():
            told = f"The result expired at {at:%Y-%m-%dT%H:%M:%SZ}."
            return await sync_to_async(refusal)(task, 410, told)
        if chosen is None:
            return Response(_listed(request, task, artifacts))
        return await _download(request, chosen)


def _find(user: User, pk: UUID) -> tuple[Task, list[Artifact]]:
    task = policy.get_or_404(user, Verb.SEE, Task.objects.all(), pk=pk)
    return task, list(task.artifacts.filter(attempt=task.attempt).order_by("created_at"))


def _end_of(task: Task, chosen: Artifact | None) -> datetime:
    """When that file, or the JSON result, is no longer to be had."""
    if chosen is not None:
        return min(chosen.expires_at, chosen.gone_at or chosen.expires_at)
    return (task.finished_at or task.updated_at) + timedelta(
        seconds=settings.RESULT_EXPIRES_SECONDS
    )


def _no_result(task: Task) -> Response:
    if task.status == Status.EXPIRED:
        return refusal(task, 410, "It expired before anything came of it.")
    if task.ended:
        return refusal(task, 409, f"It {Status(task.status).label.lower()}: no result.")
    return refusal(task, 409, "It has not ended yet.")


def _chosen(request: Request, artifacts: list[Artifact]) -> Artifact | None:
    """The file that is asked for; None for the JSON."""
    name = request.query_params.get("artifact")
    if name is not None:
        named = [each for each in artifacts if name in (each.name, str(each.pk))]
        if not named:
            known = ", ".join(each.name for each in artifacts) or "none"
            raise ValidationError({"artifact": [f"There is no such file; there are: {known}."]})
        return named[0]
    if request.headers.get("Accept", "").strip() == "application/json":
        return None
    return artifacts[0] if len(artifacts) == 1 else None


def _listed(request: Request, task: Task, artifacts: list[Artifact]) -> Any:
    result = {} if task.result is None else task.result
    if not artifacts or not isinstance(result, dict):
        return result
    base = request.build_absolute_uri(report.result_url(task.pk))
    return {
        **result,
        "artifacts": [
            {
                "name": each.name,
                "size": each.size,
                "sha256": each.sha256,
                "content_type": each.content_type,
                "expires_at": each.expires_at,
                "url": f"{base}?artifact={each.pk}",
            }
            for each in artifacts
        ],
    }


# The file itself --------------------------------------------------------------------------------


async def _download(request: Request, artifact: Artifact) -> HttpResponseBase:
    etag = f'"{artifact.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(artifact.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
    }
    if settings.RESULT_REDIRECT and not files.is_local():
        return HttpResponseRedirect(await sync_to_async(_presigned)(artifact))
    if request.headers.get("If-None-Match", "").strip() in (etag, "*"):
        return HttpResponse(status=304, headers=headers)
    if_range = request.headers.get("If-Range", etag).strip()
    text = request.headers.get("Range", "") if if_range == etag else ""
    span = _span(text, artifact.size)
    if span is None:
        document = problem(416, f"The file has {artifact.size} bytes.")
        more = {"Content-Range": f"bytes */{artifact.size}"}
        return Response(document, status=416, headers=more, content_type=MEDIA_TYPE)
    start, end = span
    try:
        file = await sync_to_async(files.open_at)(artifact.key, start)
    except FileNotFoundError:
        return Response(
            problem(410, "The result was removed."), status=410, content_type=MEDIA_TYPE
        )
    part = (start, end) != (0, artifact.size)
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{artifact.size}"
    headers["Content-Length"] = str(end - start)
    headers["Content-Type"] = artifact.content_type
    status = 206 if part else 200
    if request.method == "HEAD":
        await sync_to_async(file.close)()
        return HttpResponse(status=status, headers=headers)
    return StreamingHttpResponse(_blocks(file, end - start), status=status, headers=headers)


def _span(text: str, size: int) -> tuple[int, int] | None:
    """From which byte to before which; None where the file has none of them.

    What is no single range of bytes is passed over, as RFC 9110 wants it.
    """
    found = _RANGE.match(text.replace(" ", "")) if text else None
    if found is None or not any(found.groups()):
        return 0, size
    first, last = (_number(digits) if digits else None for digits in found.groups())
    if first is None:
        start, end = max(0, size - (last or 0)), size
        return (start, end) if last and size else None
    if last is not None and last < first:
        return 0, size
    end = size if last is None else min(size, last + 1)
    return (first, end) if first < size else None


def _number(digits: str) -> int:
    """Any that is longer is beyond every file, and Python reads only so long ones."""
    return int(digits[:20])


async def _blocks(file: Any, left: int) -> AsyncIterator[bytes]:
    read, close = sync_to_async(file.read), sync_to_async(file.close)
    try:
        while left > 0 and (block := await read(min(BLOCK, left))):
            left -= len(block)
            yield block
    finally:
        await close()


def _presigned(artifact: Artifact) -> str:
    """An address in the storage itself, good for a while, that saves it under its name."""
    disposition = f"attachment; filename*=UTF-8''{quote(artifact.name, safe='')}"
    parameters = {
        "ResponseContentDisposition": disposition,
        "ResponseContentType": artifact.content_type,
    }
    return str(files.storage().url(artifact.key, parameters=parameters, expire=300))
