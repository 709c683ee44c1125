"""`/api/tasks/`, `/api/events/`, `/api/workers/`: what is going on, and what has been."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import policy
from accounts.models import User
from accounts.policy import Verb
from accounts.rest import ConflictError, TeamScoped
from tasks import transitions
from tasks.api.bulk import (
    DRY_RUN,
    IDEMPOTENCY_KEY,
    KEY_TAKEN,
    BulkCountSerializer,
    BulkSerializer,
    answer_bulk,
)
from tasks.api.control import ENDED
from tasks.api.serializers import EventSerializer, TaskSerializer, WorkerSerializer
from tasks.filters import TaskFilter
from tasks.live import report
from tasks.models import Event, Task, Worker


class EventFilter(django_filters.FilterSet):  # type: ignore[misc]
    after = django_filters.NumberFilter(
        field_name="seq", lookup_expr="gt", help_text="Only those after this seq of their task"
    )

    class Meta:
        model = Event
        fields: ClassVar[list[str]] = ["task", "kind", "level", "attempt"]


class TaskViewSet(TeamScoped, viewsets.ReadOnlyModelViewSet[Task]):
    """The tasks of one's teams."""

    queryset = Task.objects.select_related("owner").order_by("-created_at")
    serializer_class = TaskSerializer
    filterset_class = TaskFilter
    ordering_fields = ["created_at", "updated_at", "run_at", "priority", "status", "job"]
    lookup_value_regex = "[0-9a-fA-F-]{36}"
    verbs: ClassVar[dict[str, Verb]] = {
        "cancel": Verb.RUN,
        "retry": Verb.RUN,
        "bulk": Verb.RUN,
    }

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        self.places = report.positions(page or [])
        return page

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "places": getattr(self, "places", None)}

    @extend_schema(request=None, responses={202: TaskSerializer, **ENDED})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Cancel a waiting task at once; ask a running one to stop."""
        task = self.get_object()
        if not transitions.cancel(task, by=cast("User", request.user)):
            raise ConflictError("It has ended already.")
        return self._moved(task)

    @extend_schema(request=None, responses={202: TaskSerializer, **ENDED})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Put a failed task back into the queue with fresh tries; quarantine ends with that."""
        task = self.get_object()
        if not transitions.retry(task, by=cast("User", request.user)):
            raise ConflictError("Only a failed task can be retried.")
        return self._moved(task)

    @extend_schema(
        request=BulkSerializer,
        parameters=[DRY_RUN, IDEMPOTENCY_KEY],
        responses={202: TaskSerializer, 200: BulkCountSerializer, **KEY_TAKEN},
        filters=False,
    )
    @action(detail=False, methods=["post"], pagination_class=None)
    def bulk(self, request: Request) -> Response:
        """Cancel or retry all tasks of a team that the filters name, by a task of its own; with
        `dry_run=true` only count them."""
        return answer_bulk(request, self.get_serializer_context())

    @extend_schema(
        responses=EventSerializer(many=True), filters=False
    )  # they would be looked for on Task
    @action(detail=True, filterset_class=EventFilter, ordering_fields=["seq"])
    def events(self, request: Request, pk: str) -> Response:
        """What has happened to it, oldest first."""
        task = policy.get_or_404(cast("User", request.user), Verb.SEE, Task.objects.all(), pk=pk)
        events = self.filter_queryset(task.events.order_by("seq"))
        page = super().paginate_queryset(events) or []
        return self.get_paginated_response(EventSerializer(page, many=True).data)

    def _moved(self, task: Task) -> Response:
        task.refresh_from_db()
        return Response(self.get_serializer(task).data, status=202)


class EventViewSet(TeamScoped, viewsets.ReadOnlyModelViewSet[Event]):
    """What has happened to the tasks of one's teams, newest first."""

    queryset = Event.objects.order_by("-at", "-pk")
    serializer_class = EventSerializer
    filterset_class = EventFilter
    ordering_fields = ["at", "seq"]


class WorkerViewSet(viewsets.ReadOnlyModelViewSet[Worker]):
    """The workers and daemons that are or were there. They belong to no team."""

    queryset = Worker.objects.order_by("name")
    serializer_class = WorkerSerializer
    filterset_fields = ["kind", "host"]
    ordering_fields = ["name", "started_at", "heartbeat_at"]
