"""`/api/proofs/`: what came of restoring backups into scratch servers."""

from __future__ import annotations

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.policy import Verb
from accounts.rest_filters import FilterSet
from backups.api.figures import StatusField, TaskFigures
from backups.api.lookups import IdFilter, with_status
from backups.api.owned import UUID_REGEX, Door, Followed, RunnableField, asker
from backups.models import Backup, Proof
from tasks.states import Status


class ProofSerializer(serializers.ModelSerializer[Proof]):
    """The verdict of one drill; without a verdict it has not ended."""

    status = StatusField()
    verdict = serializers.ChoiceField(
        choices=[("", "Not ended"), *Proof.Verdict.choices], read_only=True
    )
    task = TaskFigures(read_only=True, allow_null=True)

    class Meta:
        model = Proof
        fields = [
            "id",
            "team",
            "backup",
            "status",
            "verdict",
            "reason",
            "tables",
            "server_version",
            "created_at",
            "completed_at",
            "duration_seconds",
            "task",
        ]
        read_only_fields = fields


class ProofRequest(serializers.Serializer[Any]):
    """Which backup is to be proven."""

    backup = RunnableField(queryset=Backup.objects.all())


class ProofFilter(FilterSet):
    backup = filters.UUIDFilter(field_name="backup_id")
    database = IdFilter(field_name="backup__database_id")
    status = filters.ChoiceFilter(choices=Status.choices, method=with_status)

    class Meta:
        model = Proof
        fields = {"verdict": ["exact"]}


@extend_schema_view(
    create=extend_schema(
        summary="Prove a backup", request=ProofRequest, responses={202: ProofSerializer}
    ),
    cancel=extend_schema(summary="Stop a drill", request=None, responses={202: ProofSerializer}),
)
class ProofViewSet(
    Followed,
    Door,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Proof],
):
    """Drills: a backup is believed when it has been restored."""

    queryset = Proof.objects.select_related("team", "task")
    serializer_class = ProofSerializer
    filterset_class = ProofFilter
    ordering_fields = ["created_at", "completed_at", "duration_seconds"]
    lookup_value_regex = UUID_REGEX
    verbs = {"create": Verb.RUN, "cancel": Verb.RUN}
    conflicting = frozenset({"create", "cancel"})

    def create(self, request: Request) -> Response:
        wish = ProofRequest(data=request.data, context=self.get_serializer_context())
        wish.is_valid(raise_exception=True)
        proof = wish.validated_data["backup"].prove(by=asker(request))
        return Response(self.get_serializer(proof).data, status.HTTP_202_ACCEPTED)
