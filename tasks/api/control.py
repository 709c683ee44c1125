"""`POST /task/cancel/<id>` and `GET /task/result/<id>`."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import policy
from accounts.models import User
from accounts.policy import Verb
from accounts.rest.problems import MEDIA_TYPE, problem
from tasks import transitions
from tasks.api.serializers import RefusalSerializer, StatusSerializer
from tasks.live import report
from tasks.models import Task
from tasks.states import Status

ENDED = {
    (409, MEDIA_TYPE): OpenApiResponse(RefusalSerializer, "It has ended already, or not failed.")
}
NO_RESULT = {
    (409, MEDIA_TYPE): OpenApiResponse(RefusalSerializer, "No result (yet); `task` says why."),
    (410, MEDIA_TYPE): OpenApiResponse(RefusalSerializer, "It expired."),
}


class CancelView(APIView):
    @extend_schema(
        operation_id="task_cancel", request=None, responses={202: StatusSerializer, **ENDED}
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Cancel a waiting task at once; ask a running one to stop."""
        user = cast("User", request.user)
        task = policy.get_or_404(user, Verb.RUN, Task.objects.all(), pk=pk)
        cancelled = transitions.cancel(task, by=user)
        task.refresh_from_db()
        if not cancelled:
            return refusal(task, 409, f"It has ended already: {Status(task.status).label.lower()}.")
        return Response(StatusSerializer(task).data, status=202)


class ResultView(APIView):
    @extend_schema(operation_id="task_result", responses={200: OpenApiTypes.OBJECT, **NO_RESULT})
    def get(self, request: Request, pk: UUID) -> Response:
        """What the task has brought."""
        user = cast("User", request.user)
        task = policy.get_or_404(user, Verb.SEE, Task.objects.all(), pk=pk)
        if task.status == Status.SUCCEEDED:
            return Response({} if task.result is None else task.result)
        if task.status == Status.EXPIRED:
            return refusal(task, 410, "It expired before anything came of it.")
        if task.ended:
            return refusal(task, 409, f"It {Status(task.status).label.lower()}: no result.")
        return refusal(task, 409, "It has not ended yet.")


def refusal(task: Task, status: int, detail: str) -> Response:
    """A problem document that also tells how the task stands."""
    standing: dict[str, Any] = report.status_of(task, report.positions([task]).get(task.pk))
    document = {**problem(status, detail), "task": standing}
    return Response(document, status=status, content_type=MEDIA_TYPE)
