"""How tasks, their events and the workers look in JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from tasks.checks import is_alive
from tasks.live import report
from tasks.models import Event, Task, Worker
from tasks.states import Status


class ProgressSerializer(serializers.Serializer[Any]):
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True, help_text="null while it isn't known")
    unit = serializers.CharField()
    percent = serializers.FloatField(allow_null=True, help_text="100 only once it has succeeded")
    rate = serializers.FloatField(allow_null=True, help_text="Units a second")
    eta_seconds = serializers.FloatField(allow_null=True)


class StatusSerializer(serializers.Serializer[Task]):
    """How a task stands; what it says is made in `tasks.live.report`, as for sockets."""

    id = serializers.UUIDField()
    job = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    message = serializers.CharField(help_text="What is going on now, in one line")
    progress = ProgressSerializer()
    attempt = serializers.IntegerField()
    max_attempts = serializers.IntegerField()
    queue_position = serializers.IntegerField(
        allow_null=True, help_text="1 is next; null unless it is queued"
    )
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(allow_null=True, help_text="Cause and remedy, in one sentence")
    result_url = serializers.CharField(allow_null=True, help_text="null until it has succeeded")
    seq = serializers.IntegerField(help_text="Grows with every change")

    def to_representation(self, instance: Task) -> dict[str, Any]:
        places = self.context.get("places") or report.positions([instance])
        return report.status_of(instance, places.get(instance.pk))


class TaskSerializer(StatusSerializer):
    """The status, and what those who look after tasks want to know besides."""

    title = serializers.CharField()
    team = serializers.IntegerField()
    owner = serializers.CharField(allow_null=True, help_text="User name; null for the system")
    queue = serializers.CharField()
    priority = serializers.IntegerField(help_text="Higher runs first")
    args = serializers.DictField()
    run_at = serializers.DateTimeField(help_text="Not before this moment")
    updated_at = serializers.DateTimeField()
    cancel_requested_at = serializers.DateTimeField(allow_null=True)
    worker = serializers.CharField()

    def to_representation(self, instance: Task) -> dict[str, Any]:
        return {
            **super().to_representation(instance),
            "title": instance.title,
            "team": instance.team_id,
            "owner": instance.owner.get_username() if instance.owner else None,
            "queue": instance.queue,
            "priority": instance.priority,
            "args": instance.args,
            "run_at": instance.run_at,
            "updated_at": instance.updated_at,
            "cancel_requested_at": instance.cancel_requested_at,
            "worker": instance.worker,
        }


class RefusalSerializer(serializers.Serializer[Any]):
    """A problem document that may tell how the task stands."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(required=False)
    task = StatusSerializer(required=False)


class EventSerializer(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = ["id", "task", "seq", "at", "kind", "level", "attempt", "message", "data"]
        read_only_fields = fields


class WorkerSerializer(serializers.ModelSerializer[Worker]):
    alive = serializers.SerializerMethodField(help_text="Whether its heartbeat is fresh")

    class Meta:
        model = Worker
        fields = [
            "id",
            "name",
            "kind",
            "host",
            "pid",
            "queues",
            "capacity",
            "started_at",
            "heartbeat_at",
            "alive",
        ]
        read_only_fields = fields

    def get_alive(self, worker: Worker) -> bool:
        return is_alive(worker)
