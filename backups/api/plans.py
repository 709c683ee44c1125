"""`/api/plans/`: how databases are backed up, and the verb that starts a backup."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.policy import Verb
from accounts.rest import ConflictError
from accounts.rest_filters import FilterSet
from backups.api.backups import BackupSerializer, started
from backups.api.lookups import IdFilter
from backups.api.owned import Door, NamedSerializer
from backups.api.schema import IDEMPOTENCY_KEY, LOCATION
from backups.models import Plan
from backups.models.plans import LONGEST_SECONDS
from tasks.states import ENDED


class PlanSerializer(NamedSerializer[Plan]):
    """How a database is backed up: from where, to where, compressed how, within which limits."""

    class Meta:
        model = Plan
        fields = [
            "id",
            "team",
            "name",
            "database",
            "destination",
            "format",
            "compression",
            "compression_level",
            "enabled",
            "max_attempts",
            "deadline_seconds",
            "stall_seconds",
            "lock_wait_seconds",
            "created_at",
        ]
        validators: list[Any] = []  # NamedSerializer says it by field
        extra_kwargs = {
            "max_attempts": {"min_value": 1, "max_value": 100},
            "deadline_seconds": {"min_value": 1, "max_value": LONGEST_SECONDS["deadline_seconds"]},
            "stall_seconds": {"min_value": 1, "max_value": LONGEST_SECONDS["stall_seconds"]},
            "lock_wait_seconds": {
                "min_value": 0,
                "max_value": LONGEST_SECONDS["lock_wait_seconds"],
            },
        }


class PlanFilter(FilterSet):
    database = IdFilter(field_name="database_id")
    destination = IdFilter(field_name="destination_id")

    class Meta:
        model = Plan
        fields = {"name": ["exact", "icontains"], "enabled": ["exact"]}


class PlanViewSet(Door, viewsets.ModelViewSet[Plan]):
    """How databases are backed up."""

    queryset = Plan.objects.select_related("team", "database", "destination")
    serializer_class = PlanSerializer
    filterset_class = PlanFilter
    ordering_fields = ["name", "created_at"]
    lookup_value_regex = r"\d+"
    verbs = {"run": Verb.RUN}
    conflicting = frozenset({"run", "destroy"})

    @extend_schema(
        summary="Back up now",
        request=None,
        parameters=[IDEMPOTENCY_KEY, LOCATION],
        responses={202: BackupSerializer, 200: BackupSerializer},
    )
    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: str) -> Response:
        return started(self, self.get_object())

    def perform_destroy(self, plan: Plan) -> None:
        running = plan.backups.filter(task__isnull=False).exclude(task__status__in=ENDED)
        if running.exists():
            raise ConflictError("A backup of it is under way. Cancel that or wait for its end.")
        plan.delete()
