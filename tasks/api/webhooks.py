"""`/api/webhooks/`: which programs are told that tasks on files have ended.

An address goes in and never out; a secret comes out once, when it is made.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, cast

from django.db import IntegrityError, transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Team, User
from accounts.policy import Verb
from accounts.rest import TeamScoped, TeamworkSerializer
from accounts.rest_filters import FilterSet
from tasks.models import Webhook, WebhookDelivery
from tasks.webhooks import notices

TAKEN = "The team has a webhook of that name."


class WebhookSerializer(TeamworkSerializer[Webhook]):
    """Where to tell, and of which jobs."""

    jobs = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        help_text="Only tasks of these jobs; empty: all that take files",
    )
    place = serializers.CharField(read_only=True, help_text="Its host")

    class Meta:
        model = Webhook
        fields = ["id", "team", "name", "url", "place", "jobs", "enabled", "created_at"]
        validators: list[Any] = []  # `validate` says it by field

    def validate_team(self, team: Team) -> Team:
        team = super().validate_team(team)
        if self.instance is not None and self.instance.team_id != team.pk:
            raise serializers.ValidationError("It stays in its team; make a new one in the other.")
        return team

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        row = copy(self.instance) if self.instance is not None else Webhook()
        for name, value in attrs.items():
            setattr(row, name, value)
        namesakes = Webhook.objects.filter(team=row.team, name=row.name).exclude(pk=row.pk)
        if namesakes.exists():
            raise serializers.ValidationError({"name": TAKEN})
        row.clean()
        return {**attrs, "jobs": row.jobs}

    def save(self, **extra: Any) -> Webhook:
        try:
            with transaction.atomic():
                return super().save(**extra)
        except IntegrityError:  # somebody took the name since it was looked for
            raise serializers.ValidationError({"name": TAKEN}) from None


class SecretSerializer(serializers.Serializer[Any]):
    """What its requests are signed with, told this once."""

    secret = serializers.CharField(help_text="whsec_… as Standard Webhooks has it")


class NewWebhookSerializer(WebhookSerializer):
    """A webhook that has just been made, with its secret."""

    secret = serializers.CharField(read_only=True, help_text="Told this once")

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]

    def to_representation(self, instance: Webhook) -> dict[str, Any]:
        return {**super().to_representation(instance), "secret": instance.secret.reveal()}


class WebhookDeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    """One message, and whether it arrived."""

    class Meta:
        model = WebhookDelivery
        fields = [
            "id",
            "task",
            "type",
            "body",
            "state",
            "tries",
            "status_code",
            "error",
            "sending",
            "created_at",
            "delivered_at",
        ]
        read_only_fields = fields


class WebhookFilter(FilterSet):
    class Meta:
        model = Webhook
        fields: ClassVar[dict[str, list[str]]] = {
            "name": ["exact", "icontains"],
            "enabled": ["exact"],
        }


class WebhookViewSet(TeamScoped, viewsets.ModelViewSet[Webhook]):
    """Which programs are told that tasks on files have ended."""

    queryset = Webhook.objects.select_related("team")
    serializer_class = WebhookSerializer
    filterset_class = WebhookFilter
    ordering_fields = ["name", "created_at"]
    lookup_value_regex = r"\d+"
    verbs: ClassVar[dict[str, Verb]] = {"test": Verb.RUN}

    @extend_schema(responses={201: NewWebhookSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make one; the answer holds the secret that signs, this once."""
        asked = NewWebhookSerializer(data=request.data, context=self.get_serializer_context())
        asked.is_valid(raise_exception=True)
        asked.save()
        return Response(asked.data, status.HTTP_201_CREATED)

    @extend_schema(summary="Send a test", request=None, responses={202: WebhookDeliverySerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send a message that means nothing; the deliveries tell whether it arrived."""
        delivery = notices.test(self.get_object(), by=cast("User", request.user))
        return Response(WebhookDeliverySerializer(delivery).data, status.HTTP_202_ACCEPTED)

    @extend_schema(summary="A new secret", request=None, responses=SecretSerializer)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        """Make a new secret. For a day the old one signs beside it."""
        return Response({"secret": self.get_object().rotate()})

    @extend_schema(summary="What was sent", responses=WebhookDeliverySerializer(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, ordering_fields=["created_at"])
    def deliveries(self, request: Request, pk: str) -> Response:
        """The newest first, by pages."""
        page = self.paginate_queryset(self.get_object().deliveries.all()) or []
        return self.get_paginated_response(WebhookDeliverySerializer(page, many=True).data)
