"""`POST /task/cancel/<id>`."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import policy
from accounts.models import User
from accounts.policy import Verb
from accounts.rest.problems import MEDIA_TYPE
from tasks import transitions
from tasks.api.refusing import refusal
from tasks.api.serializers import RefusalSerializer, StatusSerializer
from tasks.models import Task
from tasks.states import Status

ENDED = {
    (409, MEDIA_TYPE): OpenApiResponse(RefusalSerializer, "It has ended already, or not failed.")
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
