"""`GET /task/events/<id>` in the API's description, and what it refuses.

Who may follow the task never gets here: `tasks.live.streams` stands in front of Django.
"""

from __future__ import annotations

from typing import cast
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import policy
from accounts.models import User
from accounts.policy import Verb
from accounts.rest.problems import MEDIA_TYPE, problem
from tasks.models import Task

NUMBER = r"^\d{1,18}$"
AFTER = OpenApiParameter(
    "after",
    {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    description="The `seq` that is known already: only what came after it is told",
)
LAST = OpenApiParameter(
    "Last-Event-ID",
    {"type": "string", "pattern": NUMBER},
    OpenApiParameter.HEADER,
    description="The same, as browsers send it; it goes before `after`",
)


EVENT = {
    "type": "object",
    "description": "One event of the stream",
    "properties": {
        "id": {"type": "string", "pattern": NUMBER, "description": "Its `seq`"},
        "event": {"type": "string", "enum": ["snapshot", "event", "update", "removed", "end"]},
        "data": {"type": "string", "description": "JSON, as the WebSocket tells it"},
        "retry": {"type": "integer", "description": "Milliseconds; it stands alone, at first"},
    },
}


class EventsView(APIView):
    @extend_schema(
        operation_id="task_events",
        parameters=[AFTER, LAST],
        responses={
            (200, "text/event-stream"): OpenApiResponse(
                EVENT,
                "`snapshot`, then `event`, `update`, `removed` as the WebSocket tells them, each "
                "with its `seq` as id; the last is `end`.",
            ),
            204: OpenApiResponse(description="It has ended, and all of it was told."),
            (400, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.OBJECT, "That is no `seq`."),
        },
    )
    def get(self, request: Request, pk: UUID) -> Response:
        """Follow a task by server-sent events until it has ended."""
        policy.get_or_404(cast("User", request.user), Verb.SEE, Task.objects.all(), pk=pk)
        told = request.headers.get("Last-Event-ID") or request.query_params.get("after", "")
        if told and not (told.isascii() and told.isdigit() and len(told) <= 18):
            raise ValidationError({"after": ["A whole number: the seq that is known already."]})
        missing = "Server-sent events need the ASGI application: serve with `runweb`."
        return Response(problem(501, missing), status=501, content_type=MEDIA_TYPE)
