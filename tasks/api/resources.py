"""`/api/tasks/`, `/api/events/`, `/api/workers/`, `/api/queues/`: what goes on, and has been."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import permissions, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import policy
from accounts.models import User
from accounts.policy import Verb
from accounts.rest import ConflictError, TeamScoped
from accounts.rest.problems import MEDIA_TYPE
from accounts.rest_filters import FilterSet, WholeNumberFilter
from tasks import canaries, crews, history, queues, transitions
from tasks.api.bulk import (
    DRY_RUN,
    IDEMPOTENCY_KEY,
    KEY_TAKEN,
    BulkCountSerializer,
    BulkSerializer,
    answer_bulk,
)
from tasks.api.control import ENDED
from tasks.api.pauses import MayOperate
from tasks.api.serializers import (
    EventSerializer,
    QueueSerializer,
    RefusalSerializer,
    TaskSerializer,
    WorkerSerializer,
)
from tasks.filters import TaskFilter
from tasks.live import report
from tasks.models import Event, Task, Worker


class EventFilter(FilterSet):
    after = WholeNumberFilter(
        field_name="seq", lookup_expr="gt", help_text="Only those after this seq of their task"
    )
    least = django_filters.ChoiceFilter(
        method="of_level", choices=list(history.LEVELS.items()), help_text="Of that level and above"
    )

    class Meta:
        model = Event
        fields: ClassVar[list[str]] = ["task", "kind", "level", "attempt"]

    def of_level(self, events: QuerySet[Event], name: str, level: str) -> QuerySet[Event]:
        return history.at_least(events, level)


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

    def get_queryset(self) -> QuerySet[Task]:
        """The platform's canaries are listed only where they are asked for by name."""
        rows = super().get_queryset()
        shown = self.action != "list" or "job" in self.request.query_params
        return rows if shown else canaries.hidden(rows)

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

    queryset = canaries.hidden(Event.objects.order_by("-at", "-pk"), "task__job")
    serializer_class = EventSerializer
    filterset_class = EventFilter
    ordering_fields = ["at", "seq"]


NO_DRAIN = {
    (409, MEDIA_TYPE): OpenApiResponse(
        RefusalSerializer, "It drains already, or is a daemon, which has nothing to drain."
    )
}


class WorkerViewSet(viewsets.ReadOnlyModelViewSet[Worker]):
    """The workers and daemons that are or were there. They belong to no team."""

    queryset = Worker.objects.order_by("name")
    serializer_class = WorkerSerializer
    permission_classes = [permissions.IsAuthenticated, MayOperate]
    filterset_fields = ["kind", "host"]
    ordering_fields = ["name", "started_at", "heartbeat_at"]

    def get_serializer_context(self) -> dict[str, Any]:
        alive = set(crews.alive().values_list("pk", flat=True))
        return {**super().get_serializer_context(), "running": crews.running(), "alive": alive}

    @extend_schema(request=None, responses={202: WorkerSerializer, **NO_DRAIN})
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str) -> Response:
        """Have a worker claim nothing more, finish what it runs and end; staff may. What keeps it
        running (`up`, systemd) starts it anew: to keep work away, pause its queue."""
        worker = self.get_object()
        if not crews.drain(worker, by=cast("User", request.user)):
            raise ConflictError("It drains already, or has nothing to drain.")
        worker.refresh_from_db()
        return Response(self.get_serializer(worker).data, status=202)


class QueueViewSet(viewsets.ViewSet):
    """The queues that something is known of. They belong to no team."""

    @extend_schema(responses=QueueSerializer(many=True))
    def list(self, request: Request) -> Response:
        """How each stands: what waits and runs, since when, and what holds it back."""
        return Response(QueueSerializer(queues.all(), many=True).data)
