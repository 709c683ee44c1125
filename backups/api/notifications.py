"""`/api/notifications/`: who is told what came of backups. An address goes in and never out."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.policy import Verb
from accounts.rest_filters import FilterSet
from backups.api.owned import Door, NamedSerializer, asker
from backups.models import Channel, Delivery, Topic
from backups.notifications import notices


class ChannelSerializer(NamedSerializer[Channel]):
    """A Slack webhook, or any address that Apprise knows, and what it is told of."""

    events = serializers.MultipleChoiceField(choices=Topic.choices, required=False)
    place = serializers.CharField(
        read_only=True, help_text="Where it leads, without what is secret in it"
    )

    class Meta:
        model = Channel
        fields = [
            "id",
            "team",
            "name",
            "kind",
            "address",
            "place",
            "events",
            "enabled",
            "created_at",
        ]
        validators: list[Any] = []  # NamedSerializer says it by field

    def validate_events(self, events: set[str]) -> list[str]:
        return [topic for topic in Topic.values if topic in events]

    def to_representation(self, instance: Channel) -> dict[str, Any]:
        return {**super().to_representation(instance), "events": instance.events}


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One message to a channel, and whether it arrived."""

    class Meta:
        model = Delivery
        fields = [
            "id",
            "event",
            "title",
            "text",
            "state",
            "tries",
            "error",
            "task",
            "created_at",
            "sent_at",
        ]
        read_only_fields = fields


class ChannelFilter(FilterSet):
    class Meta:
        model = Channel
        fields = {"name": ["exact", "icontains"], "kind": ["exact"], "enabled": ["exact"]}


class NotificationViewSet(Door, viewsets.ModelViewSet[Channel]):
    """Who is told what came of backups."""

    queryset = Channel.objects.select_related("team")
    serializer_class = ChannelSerializer
    filterset_class = ChannelFilter
    ordering_fields = ["name", "created_at"]
    lookup_value_regex = r"\d+"
    verbs = {"test": Verb.RUN}

    @extend_schema(summary="Send a test", request=None, responses={202: DeliverySerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send a message that means nothing; `task` tells whether it arrived."""
        delivery = notices.test(self.get_object(), by=asker(request))
        return Response(DeliverySerializer(delivery).data, status.HTTP_202_ACCEPTED)

    @extend_schema(summary="What was sent", responses=DeliverySerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, ordering_fields=["created_at"])
    def deliveries(self, request: Request, pk: str) -> Response:
        """The newest first, by pages."""
        page = self.paginate_queryset(self.get_object().deliveries.all())
        return self.get_paginated_response(DeliverySerializer(page, many=True).data)
