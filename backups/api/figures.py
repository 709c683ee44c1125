"""The task behind a backup, a restore or a proof: how it stands, and where to follow it."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from tasks.api.serializers import StatusSerializer
from tasks.models import Task
from tasks.states import Status


class TaskFigures(StatusSerializer):
    """The task's status, and the addresses that tell and stop it."""

    status_url = serializers.CharField()
    cancel_url = serializers.CharField()

    def to_representation(self, instance: Task) -> dict[str, Any]:
        return {
            **super().to_representation(instance),
            "status_url": reverse("service-status", args=[instance.pk]),
            "cancel_url": reverse("service-cancel", args=[instance.pk]),
        }


class StatusField(serializers.ChoiceField):
    """The task's status; once the task's row is gone, what the work left tells how it ended."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=Status.choices, source="*", read_only=True, **options)

    def to_representation(self, row: Any) -> str:
        if row.task is not None:
            return str(row.task.status)
        return str(Status.SUCCEEDED if row.completed_at else Status.FAILED)
