"""`/api/backups/`: what was stored, how it goes, and what can be done with it."""

from __future__ import annotations

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.policy import Verb
from accounts.rest_filters import FilterSet
from backups.api.figures import StatusField, TaskFigures
from backups.api.lookups import IdFilter, with_status
from backups.api.owned import UUID_REGEX, Door, Followed, RunnableField, asker, idempotency_key
from backups.api.proofs import ProofSerializer
from backups.api.restores import RestoreInto, RestoreSerializer
from backups.api.schema import IDEMPOTENCY_KEY, LOCATION
from backups.models import Backup, Plan
from tasks.states import Status


class BackupSerializer(serializers.ModelSerializer[Backup]):
    """A run of a plan and the receipt of what it stored."""

    status = StatusField()
    complete = serializers.BooleanField(read_only=True)
    database_name = serializers.CharField(source="database.name", read_only=True)
    task = TaskFigures(read_only=True, allow_null=True)

    class Meta:
        model = Backup
        fields = [
            "id",
            "team",
            "plan",
            "database",
            "database_name",
            "destination",
            "status",
            "complete",
            "created_at",
            "completed_at",
            "duration_seconds",
            "key",
            "raw_bytes",
            "stored_bytes",
            "raw_sha256",
            "stored_sha256",
            "compression",
            "server_version",
            "task",
        ]
        read_only_fields = fields


class BackupDetailSerializer(BackupSerializer):
    """The same with the tables, the manifest and the last proof."""

    last_proof = serializers.SerializerMethodField()

    class Meta(BackupSerializer.Meta):
        fields = [*BackupSerializer.Meta.fields, "tables", "manifest", "last_proof"]
        read_only_fields = fields

    @extend_schema_field(ProofSerializer(allow_null=True))
    def get_last_proof(self, backup: Backup) -> Any:
        proof = backup.proofs.select_related("task").first()
        return ProofSerializer(proof, context=self.context).data if proof else None


class BackupRequest(serializers.Serializer[Any]):
    """Which plan is to be run."""

    plan = RunnableField(queryset=Plan.objects.all())


class BackupFilter(FilterSet):
    database = IdFilter(field_name="database_id")
    database_name = filters.CharFilter(field_name="database__name")
    plan = IdFilter(field_name="plan_id")
    plan_name = filters.CharFilter(field_name="plan__name")
    destination = IdFilter(field_name="destination_id")
    status = filters.ChoiceFilter(choices=Status.choices, method=with_status)
    complete = filters.BooleanFilter(field_name="completed_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = Backup
        fields = {"created_at": ["gte", "lt"], "completed_at": ["gte", "lt"]}


def started(view: GenericAPIView[Any], plan: Plan) -> Response:
    """Starts a backup: 202 with it, or 200 where the request's key has started it before."""
    backup = plan.start(by=asker(view.request), idempotency_key=idempotency_key(view.request))
    fresh = backup.task is not None and backup.task.fresh
    return Response(
        BackupSerializer(backup, context=view.get_serializer_context()).data,
        status.HTTP_202_ACCEPTED if fresh else status.HTTP_200_OK,
        headers={"Location": reverse("backup-detail", [backup.pk], request=view.request)},
    )


_STARTED = {202: BackupSerializer, 200: BackupSerializer}


@extend_schema_view(
    create=extend_schema(
        summary="Run a plan",
        request=BackupRequest,
        parameters=[IDEMPOTENCY_KEY, LOCATION],
        responses=_STARTED,
    ),
    cancel=extend_schema(summary="Stop a backup", request=None, responses={202: BackupSerializer}),
)
class BackupViewSet(
    Followed,
    Door,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Backup],
):
    """Backups, running and stored; the newest first."""

    queryset = Backup.objects.select_related("team", "database", "task")
    serializer_class = BackupSerializer
    filterset_class = BackupFilter
    ordering_fields = [
        "created_at",
        "completed_at",
        "duration_seconds",
        "raw_bytes",
        "stored_bytes",
    ]
    lookup_value_regex = UUID_REGEX
    verbs = {"create": Verb.RUN, "cancel": Verb.RUN, "restore": Verb.RUN, "prove": Verb.RUN}
    conflicting = frozenset(verbs)

    def get_serializer_class(self) -> type[BackupSerializer]:
        return BackupDetailSerializer if self.action == "retrieve" else BackupSerializer

    def create(self, request: Request) -> Response:
        wish = BackupRequest(data=request.data, context=self.get_serializer_context())
        wish.is_valid(raise_exception=True)
        return started(self, wish.validated_data["plan"])

    @extend_schema(summary="Restore it", request=RestoreInto, responses={202: RestoreSerializer})
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str) -> Response:
        backup: Backup = self.get_object()
        context = {**self.get_serializer_context(), "backup": backup}
        wish = RestoreInto(data=request.data, context=context)
        wish.is_valid(raise_exception=True)
        restore = backup.restore(by=asker(request), **wish.validated_data)
        answer = RestoreSerializer(restore, context=self.get_serializer_context())
        return Response(answer.data, status.HTTP_202_ACCEPTED)

    @extend_schema(summary="Prove it", request=None, responses={202: ProofSerializer})
    @action(detail=True, methods=["post"])
    def prove(self, request: Request, pk: str) -> Response:
        proof = self.get_object().prove(by=asker(request))
        answer = ProofSerializer(proof, context=self.get_serializer_context())
        return Response(answer.data, status.HTTP_202_ACCEPTED)
