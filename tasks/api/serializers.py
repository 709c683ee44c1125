"""How tasks, their events and the workers look in JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from tasks import crews
from tasks.api.pauses import PauseSerializer
from tasks.checks import is_alive
from tasks.live import report
from tasks.models import Event, Task, Worker
from tasks.states import Status, WhenBusy

RULES = (
    "tries",
    "deadline_seconds",
    "stall_seconds",
    "expires_at",
    "backoff",
    "crashes",
    "quarantined_at",
    "concurrency_key",
    "concurrency_limit",
    "when_busy",
)


class ProgressSerializer(serializers.Serializer[Any]):
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True, help_text="null while it isn't known")
    unit = serializers.CharField()
    percent = serializers.FloatField(allow_null=True, help_text="100 only once it has succeeded")
    rate = serializers.FloatField(allow_null=True, help_text="Units a second")
    eta_seconds = serializers.FloatField(allow_null=True)


class BackoffSerializer(serializers.Serializer[Any]):
    first = serializers.FloatField(help_text="Seconds before the second try")
    factor = serializers.FloatField(help_text="Of each pause to the one before")
    most = serializers.FloatField(help_text="Seconds")
    jitter = serializers.FloatField(help_text="The part of each pause that is drawn by lot")


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
    tries = serializers.IntegerField(help_text="Attempts that count against the limit")
    deadline_seconds = serializers.IntegerField(allow_null=True, help_text="Of an attempt")
    stall_seconds = serializers.IntegerField(
        allow_null=True, help_text="An attempt without a word for so long fails"
    )
    expires_at = serializers.DateTimeField(
        allow_null=True, help_text="The end of it, whatever tries are left"
    )
    backoff = BackoffSerializer(allow_null=True, help_text="null: as the job has it")
    crashes = serializers.IntegerField(help_text="Attempts in a row that killed their process")
    quarantined_at = serializers.DateTimeField(
        allow_null=True, help_text="Since when it is kept from killing more; a retry releases it"
    )
    concurrency_key = serializers.CharField(help_text="Tasks with the same key take turns")
    concurrency_limit = serializers.IntegerField(help_text="How many of its key run at once")
    when_busy = serializers.ChoiceField(choices=WhenBusy.choices)

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
            **{name: getattr(instance, name) for name in RULES},
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
    running = serializers.SerializerMethodField(help_text="Attempts that it minds now")
    draining = serializers.SerializerMethodField(
        help_text="Whether it was asked to claim nothing more and then to end"
    )

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
            "running",
            "draining",
            "drain_asked_at",
        ]
        read_only_fields = fields

    def get_alive(self, worker: Worker) -> bool:
        alive = self.context.get("alive")
        return is_alive(worker) if alive is None else worker.pk in alive

    def get_running(self, worker: Worker) -> int:
        running = self.context.get("running")
        return int((crews.running() if running is None else running)[worker.name])

    def get_draining(self, worker: Worker) -> bool:
        return worker.drain_asked_at is not None


class CanarySerializer(serializers.Serializer[Any]):
    sent_at = serializers.DateTimeField()
    returned_at = serializers.DateTimeField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True, help_text="From being sent to having run")
    age_seconds = serializers.FloatField(
        source="age", help_text="Since the last came back, or since one was sent that has not"
    )
    late = serializers.BooleanField(help_text="Whether the queue stands still beside free workers")


class QueueSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    waiting = serializers.IntegerField(help_text="Tasks, retries and those for later included")
    oldest_seconds = serializers.FloatField(
        source="oldest", help_text="That the oldest of those that could start now has waited"
    )
    running = serializers.IntegerField(help_text="Tasks")
    slots = serializers.IntegerField(
        source="slots.all", help_text="Attempts that its living workers have room for"
    )
    slots_free = serializers.IntegerField(source="slots.free")
    paused = PauseSerializer(source="pause", allow_null=True, help_text="null unless held back")
    canary = CanarySerializer(allow_null=True, help_text="null while none is sent")
