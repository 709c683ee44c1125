"""`/api/pauses/`: queues and kinds of job that are held back. They belong to no team."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, permissions, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import policy
from accounts.models import User
from tasks import pauses
from tasks.models import Pause


class PauseSerializer(serializers.ModelSerializer[Pause]):
    by = serializers.SlugRelatedField[Any](
        "username", read_only=True, allow_null=True, help_text="Who held it back"
    )

    class Meta:
        model = Pause
        fields = ["id", "kind", "name", "reason", "by", "since"]
        read_only_fields = ["by", "since"]
        validators = ()  # what is paused already is answered as it is

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        Pause(**attrs).clean()
        return attrs


class MayOperate(permissions.BasePermission):
    """Everybody sees what is held back; staff hold back and resume."""

    message = "This takes a member of the staff."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.method in permissions.SAFE_METHODS or policy.may_operate(request.user)


@extend_schema_view(
    create=extend_schema(
        responses={201: PauseSerializer, 200: PauseSerializer},
        description="Hold back a queue or a kind of job; 200 where it was held back already.",
    ),
    destroy=extend_schema(description="Resume it."),
)
class PauseViewSet(
    mixins.CreateModelMixin,
    mixins.DestroyModelMixin,
    viewsets.ReadOnlyModelViewSet[Pause],
):
    """What is held back: nothing of it is started, what runs goes on."""

    queryset = Pause.objects.select_related("by").order_by("kind", "name")
    serializer_class = PauseSerializer
    permission_classes = [permissions.IsAuthenticated, MayOperate]
    filterset_fields = ["kind", "name"]
    ordering_fields = ["kind", "name", "since"]

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        body = self.get_serializer(data=request.data)
        body.is_valid(raise_exception=True)
        known = set(Pause.objects.values_list("pk", flat=True))
        made = pauses.pause(**body.validated_data, by=cast("User", request.user))
        status = 200 if made.pk in known else 201
        return Response(self.get_serializer(made).data, status=status)

    def perform_destroy(self, instance: Pause) -> None:
        pauses.resume(Pause.Kind(instance.kind), instance.name, by=cast("User", self.request.user))
