"""`/api/destinations/`: where backups are kept."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.policy import Verb
from accounts.rest_filters import FilterSet
from backups import connections, storages
from backups.addresses import TYPE_AGAIN, moves_destination
from backups.api.owned import Door, NamedSerializer
from backups.models import Destination


class DestinationSerializer(NamedSerializer[Destination]):
    """A place for backups; `kind` says what `options` may hold. The secret never comes out."""

    options = serializers.DictField(required=False)
    has_secret = serializers.SerializerMethodField()

    class Meta:
        model = Destination
        fields = [
            "id",
            "team",
            "name",
            "kind",
            "options",
            "secret",
            "has_secret",
            "created_at",
        ]
        validators: list[Any] = []  # NamedSerializer says it by field

    def get_has_secret(self, destination: Destination) -> bool:
        return bool(destination.secret)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        stored = self.instance or Destination()
        if "secret" not in attrs and stored.secret and moves_destination(stored, attrs):
            raise serializers.ValidationError({"secret": TYPE_AGAIN})
        secret = attrs.get("secret", storages.KEPT if stored.secret else "")
        try:
            storages.validated(
                attrs.get("kind", stored.kind), attrs.get("options", stored.options), secret
            )
        except storages.OptionsError as error:
            raise serializers.ValidationError(_by_field(error)) from None
        return attrs


class DestinationFilter(FilterSet):
    class Meta:
        model = Destination
        fields = {"name": ["exact", "icontains"], "kind": ["exact"]}


class DestinationCheckSerializer(serializers.Serializer[Any]):
    """An object was written there, read and removed."""

    ok = serializers.BooleanField()
    place = serializers.CharField()


class DestinationViewSet(Door, viewsets.ModelViewSet[Destination]):
    """Places where backups are kept."""

    queryset = Destination.objects.select_related("team")
    serializer_class = DestinationSerializer
    filterset_class = DestinationFilter
    ordering_fields = ["name", "created_at"]
    lookup_value_regex = r"\d+"
    verbs = {"check": Verb.RUN}
    conflicting = frozenset({"destroy"})

    @extend_schema(
        summary="Try to write, read and remove an object",
        request=None,
        responses=DestinationCheckSerializer,
    )
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: str) -> Response:
        place = connections.check_destination(self.get_object())
        return Response(DestinationCheckSerializer({"ok": True, "place": place}).data)


def _by_field(error: storages.OptionsError) -> dict[str, Any]:
    """`{"options": {"bucket": …}, "secret": …}`: where the caller wrote what is wrong."""
    own = {name: told for name, told in error.fields.items() if name in ("secret", "kind")}
    options = {name: told for name, told in error.fields.items() if name not in own}
    return {**own, "options": options} if options else own
