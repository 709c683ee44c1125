"""`GET /task/status/<id>`: how a task stands, at once or as soon as something has changed."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import Http404
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import policy
from accounts.models import User
from accounts.rest.problems import MEDIA_TYPE
from tasks import places
from tasks.api.asynchronous import AsyncView
from tasks.api.serializers import StatusSerializer
from tasks.live import report
from tasks.live.poller import watching
from tasks.live.watches import TaskWatch
from tasks.models import Task
from tasks.places import Place

LONGEST_WAIT = 30

WAIT = OpenApiParameter(
    "wait",
    {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT},
    description="Hold the answer for so many seconds, or until something changes",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The ETag of the last answer; with `wait`, hold until it is out of date",
)
ETAG = OpenApiParameter(
    "ETag", OpenApiTypes.STR, OpenApiParameter.HEADER, response=[200, 304], description="For polls"
)


class StatusView(AsyncView):
    @extend_schema(
        operation_id="task_status",
        parameters=[WAIT, IF_NONE_MATCH, ETAG],
        responses={
            200: StatusSerializer,
            304: OpenApiResponse(description="Nothing has changed since that ETag."),
            (400, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.OBJECT, "`wait` is out of range."),
        },
    )
    async def get(self, request: Request, pk: UUID) -> Response:
        """How the task stands. An ended one is answered at once, whatever `wait` says."""
        wait = _seconds(request)
        task, place = await sync_to_async(_find)(cast("User", request.user), pk)
        body = report.status_of(task, place)
        if wait and not task.ended and _knows(request, body) is not False:
            # The connection goes back first; who waits holds nothing but a place in the poller.
            await sync_to_async(close_old_connections)()
            body = await _changed(pk, body, wait)
        headers = {"ETag": _etag(body), "Cache-Control": "private, no-cache"}
        if _knows(request, body):
            return Response(status=304, headers=headers)
        return Response(body, headers=headers)


def _seconds(request: Request) -> int:
    text = request.query_params.get("wait", "0")
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > LONGEST_WAIT:
        raise ValidationError({"wait": [f"A whole number of seconds, {LONGEST_WAIT} at most."]})
    return int(text)


def _find(user: User, pk: UUID) -> tuple[Task, Place | None]:
    task = policy.visible(user, Task.objects.filter(pk=pk)).first()
    if task is None:
        raise Http404("There is no such task.")
    return task, places.of(task)


def _knows(request: Request, body: dict[str, Any]) -> bool | None:
    """Whether the caller has this already; None where it doesn't say what it has."""
    known = parse_etags(request.headers.get("If-None-Match", ""))
    if not known:
        return None
    return "*" in known or _etag(body) in {tag.removeprefix("W/") for tag in known}


def _etag(body: dict[str, Any]) -> str:
    return report.etag_of(body)


async def _changed(pk: UUID, body: dict[str, Any], wait: int) -> dict[str, Any]:
    """The status once it differs from `body`, or that when it hasn't in time."""
    watch = TaskWatch(task_id=pk, seen=body["seq"], place=report.place_of(body))
    try:
        with watching(watch):
            async with asyncio.timeout(wait):
                change = (await watch.mailbox.take())[-1]
    except TimeoutError:
        return body
    if change.task is None:
        raise Http404("There is no such task any more.")
    return {name: change.task[name] for name in body}
