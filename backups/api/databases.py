"""`/api/databases/`: what is backed up."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.policy import Verb
from accounts.rest_filters import FilterSet
from backups import connections
from backups.addresses import TYPE_AGAIN, moves_database
from backups.api.owned import Door, NamedSerializer
from backups.models import Database


class DatabaseSerializer(NamedSerializer[Database]):
    """A database and how to reach it. The password goes in and never comes out."""

    has_password = serializers.SerializerMethodField()

    class Meta:
        model = Database
        fields = [
            "id",
            "team",
            "name",
            "engine",
            "host",
            "port",
            "dbname",
            "username",
            "password",
            "has_password",
            "sslmode",
            "queue",
            "created_at",
        ]
        validators: list[Any] = []  # NamedSerializer says it by field
        extra_kwargs = {"port": {"min_value": 1, "max_value": 65535}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        stored = self.instance
        if stored and stored.password and "password" not in attrs and moves_database(stored, attrs):
            raise serializers.ValidationError({"password": TYPE_AGAIN})
        return attrs

    def get_has_password(self, database: Database) -> bool:
        return bool(database.password)


class DatabaseFilter(FilterSet):
    class Meta:
        model = Database
        fields = {"name": ["exact", "icontains"], "engine": ["exact"], "host": ["exact"]}


class DatabaseCheckSerializer(serializers.Serializer[Any]):
    """What the server said of itself."""

    ok = serializers.BooleanField()
    engine = serializers.CharField()
    server_version = serializers.CharField()
    tool = serializers.CharField(help_text="The client program that would dump it")
    estimated_bytes = serializers.IntegerField(allow_null=True)
    warnings = serializers.ListField(
        child=serializers.CharField(),
        help_text="What to know of its backups though they go well: tables without transactions",
    )


class DatabaseViewSet(Door, viewsets.ModelViewSet[Database]):
    """Databases that are backed up or restored into."""

    queryset = Database.objects.select_related("team")
    serializer_class = DatabaseSerializer
    filterset_class = DatabaseFilter
    ordering_fields = ["name", "created_at"]
    lookup_value_regex = r"\d+"
    verbs = {"check": Verb.RUN}
    conflicting = frozenset({"destroy"})

    @extend_schema(
        summary="Try to reach the database", request=None, responses=DatabaseCheckSerializer
    )
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: str) -> Response:
        info = connections.check_database(self.get_object())
        answer = {
            "ok": True,
            "engine": info.engine,
            "server_version": info.server_version,
            "tool": info.tool,
            "estimated_bytes": info.estimated_bytes,
            "warnings": info.warnings,
        }
        return Response(DatabaseCheckSerializer(answer).data)
