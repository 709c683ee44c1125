"""`/api/schedules/`: when plans run by themselves, and what their moments came to."""

from __future__ import annotations

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.policy import Verb
from accounts.rest_filters import FilterSet
from backups.api.lookups import IdFilter
from backups.api.owned import Door, NamedSerializer
from backups.models import Firing, Schedule

TIMING = ("cron", "every_seconds", "time_zone", "action", "plan")


class ScheduleSerializer(NamedSerializer[Schedule]):
    """When a plan runs by itself: a cron expression in a time zone, or an interval."""

    paused = serializers.BooleanField(read_only=True)
    description = serializers.CharField(read_only=True, help_text="In words")
    next_moments = serializers.ListField(
        child=serializers.DateTimeField(), read_only=True, help_text="The five that come next"
    )

    class Meta:
        model = Schedule
        fields = [
            "id",
            "team",
            "name",
            "plan",
            "action",
            "cron",
            "every_seconds",
            "time_zone",
            "missed",
            "overlap",
            "paused",
            "paused_at",
            "description",
            "next_moments",
            "error",
            "created_at",
        ]
        read_only_fields = ["paused_at", "error", "created_at"]
        validators: list[Any] = []  # NamedSerializer says it by field
        extra_kwargs = {"name": {"required": False}}

    def update(self, instance: Schedule, validated_data: dict[str, Any]) -> Schedule:
        """With another timing its moments count from now on."""
        moved = any(
            name in validated_data and validated_data[name] != getattr(instance, name)
            for name in TIMING
        )
        if moved:
            instance.look_anew()
        return super().update(instance, validated_data)


class FiringSerializer(serializers.ModelSerializer[Firing]):
    """One due moment, and what it came to."""

    class Meta:
        model = Firing
        fields = ["id", "moment", "state", "task", "note", "created_at"]
        read_only_fields = fields


class ScheduleFilter(FilterSet):
    plan = IdFilter(field_name="plan_id")
    database = IdFilter(field_name="plan__database_id")
    paused = filters.BooleanFilter(field_name="paused_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = Schedule
        fields = {"name": ["exact", "icontains"], "action": ["exact"]}


class ScheduleViewSet(Door, viewsets.ModelViewSet[Schedule]):
    """When plans run by themselves."""

    queryset = Schedule.objects.select_related("team", "plan")
    serializer_class = ScheduleSerializer
    filterset_class = ScheduleFilter
    ordering_fields = ["name", "created_at"]
    lookup_value_regex = r"\d+"
    verbs = {"pause": Verb.RUN, "resume": Verb.RUN}

    @extend_schema(summary="Pause", request=None, responses=ScheduleSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Start nothing until it is resumed; what is under way goes on."""
        schedule = self.get_object()
        schedule.pause()
        return Response(self.get_serializer(schedule).data)

    @extend_schema(summary="Resume", request=None, responses=ScheduleSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on from now; what was due during the pause is not made up for."""
        schedule = self.get_object()
        schedule.resume()
        return Response(self.get_serializer(schedule).data)

    @extend_schema(summary="Its moments", responses=FiringSerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, ordering_fields=["moment"])
    def firings(self, request: Request, pk: str) -> Response:
        """The newest first, by pages."""
        page = self.paginate_queryset(self.get_object().firings.all())
        return self.get_paginated_response(FiringSerializer(page, many=True).data)
