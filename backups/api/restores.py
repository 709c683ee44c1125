"""`/api/restores/`: backups that were streamed back into databases."""

from __future__ import annotations

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.policy import Verb
from accounts.rest import VisibleRelatedField
from accounts.rest_filters import FilterSet
from backups.api.figures import StatusField, TaskFigures
from backups.api.lookups import IdFilter, with_status
from backups.api.owned import UUID_REGEX, Door, Followed, RunnableField, asker
from backups.models import Backup, Database, Restore
from tasks.states import Status


class RestoreSerializer(serializers.ModelSerializer[Restore]):
    """A restore and how it goes."""

    status = StatusField()
    task = TaskFigures(read_only=True, allow_null=True)

    class Meta:
        model = Restore
        fields = [
            "id",
            "team",
            "backup",
            "target",
            "dbname",
            "replace",
            "status",
            "created_at",
            "completed_at",
            "duration_seconds",
            "raw_bytes",
            "task",
        ]
        read_only_fields = fields


class RestoreInto(serializers.Serializer[Any]):
    """Where a backup goes: `dbname` on the server of the registered database `target`.

    An existing database of that name is replaced only where `replace` says so.
    """

    target = VisibleRelatedField(queryset=Database.objects.all())
    dbname = serializers.CharField(max_length=63)
    replace = serializers.BooleanField(default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        backup: Backup = attrs.get("backup") or self.context["backup"]
        if attrs["target"].team_id != backup.team_id:
            raise serializers.ValidationError({"target": "This belongs to another team."})
        return attrs


class RestoreRequest(RestoreInto):
    """Which backup goes where."""

    backup = RunnableField(queryset=Backup.objects.all())


class RestoreFilter(FilterSet):
    backup = filters.UUIDFilter(field_name="backup_id")
    database = IdFilter(field_name="backup__database_id")
    target = IdFilter(field_name="target_id")
    status = filters.ChoiceFilter(choices=Status.choices, method=with_status)


@extend_schema_view(
    create=extend_schema(
        summary="Restore a backup", request=RestoreRequest, responses={202: RestoreSerializer}
    ),
    cancel=extend_schema(
        summary="Stop a restore", request=None, responses={202: RestoreSerializer}
    ),
)
class RestoreViewSet(
    Followed,
    Door,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Restore],
):
    """Restores, running and done."""

    queryset = Restore.objects.select_related("team", "task")
    serializer_class = RestoreSerializer
    filterset_class = RestoreFilter
    ordering_fields = ["created_at", "completed_at", "duration_seconds"]
    lookup_value_regex = UUID_REGEX
    verbs = {"create": Verb.RUN, "cancel": Verb.RUN}
    conflicting = frozenset({"create", "cancel"})

    def create(self, request: Request) -> Response:
        wish = RestoreRequest(data=request.data, context=self.get_serializer_context())
        wish.is_valid(raise_exception=True)
        backup = wish.validated_data.pop("backup")
        restore = backup.restore(by=asker(request), **wish.validated_data)
        return Response(self.get_serializer(restore).data, status.HTTP_202_ACCEPTED)
