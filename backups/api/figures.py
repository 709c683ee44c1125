"""The live figures of the task behind a backup, a restore or a proof."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from rest_framework import serializers

from tasks.models import Task
from tasks.states import Status


class ProgressFigures(serializers.Serializer[Task]):
    """How far a task is."""

    done = serializers.IntegerField(source="progress_done")
    total = serializers.IntegerField(source="progress_total", allow_null=True)
    unit = serializers.CharField(source="progress_unit")
    percent = serializers.FloatField(allow_null=True)
    rate = serializers.FloatField(
        source="progress_rate", allow_null=True, help_text="Units a second"
    )
    eta_seconds = serializers.FloatField(allow_null=True)


class TaskFigures(serializers.ModelSerializer[Task]):
    """What a list shows of a task; `status_url` has the rest."""

    progress = ProgressFigures(source="*")
    status_url = serializers.SerializerMethodField()
    cancel_url = serializers.SerializerMethodField()

    class Meta:
        model = Task
        fields = [
            "id",
            "status",
            "message",
            "progress",
            "attempt",
            "max_attempts",
            "error",
            "started_at",
            "finished_at",
            "status_url",
            "cancel_url",
        ]
        read_only_fields = fields

    def get_status_url(self, task: Task) -> str:
        return self._absolute(f"/task/status/{task.pk}")

    def get_cancel_url(self, task: Task) -> str:
        return self._absolute(f"/task/cancel/{task.pk}")

    def _absolute(self, path: str) -> str:
        request = self.context.get("request")
        return str(request.build_absolute_uri(path)) if request else path


class StatusField(serializers.ChoiceField):
    """The task's status; once the task's row is gone, what the work left tells how it ended."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=Status.choices, source="*", read_only=True, **options)

    def to_representation(self, row: Any) -> str:
        if row.task is not None:
            return str(row.task.status)
        return str(Status.SUCCEEDED if row.completed_at else Status.FAILED)


def with_status(queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
    """The rows that `StatusField` shows that status for; the method of a filter."""
    found = Q(task__status=value)
    if value in (Status.SUCCEEDED, Status.FAILED):
        ended_well = value == Status.SUCCEEDED
        found |= Q(task__isnull=True, completed_at__isnull=not ended_well)
    return queryset.filter(found)
