"""`POST /api/tasks/bulk/`: cancel or retry many tasks, by a task of its own."""

from __future__ import annotations

from typing import Any, cast

from django.core.exceptions import PermissionDenied, ValidationError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import policy
from accounts.models import Team, User
from accounts.policy import Verb
from accounts.rest import ConflictError, VisibleRelatedField
from accounts.rest.problems import MEDIA_TYPE
from accounts.rest.scoped import HomeTeam
from tasks import bulk
from tasks.api.serializers import RefusalSerializer, TaskSerializer
from tasks.errors import IdempotencyConflictError

DRY_RUN = OpenApiParameter(
    "dry_run", OpenApiTypes.BOOL, description="Count what it would concern, and do nothing"
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key again answers the task it made before instead of making another.",
)
KEY_TAKEN = {
    (409, MEDIA_TYPE): OpenApiResponse(
        RefusalSerializer, "The idempotency key was used before, for another request."
    )
}


class BulkSerializer(serializers.Serializer[Any]):
    action = serializers.ChoiceField(choices=bulk.Action.choices)
    filter = serializers.DictField(
        allow_empty=False,
        help_text="The filters of the list of tasks by name, one at least; a list means any of "
        'these: `{"status": ["queued", "running"], "job": "backup"}`',
    )
    team = VisibleRelatedField(
        queryset=Team.objects.all(),
        default=HomeTeam(),
        help_text="Whose tasks; one's own team where it is left out",
    )

    def validate_team(self, team: Team) -> Team:
        request: Request = self.context["request"]
        if not policy.may(request.user, Verb.RUN, team):
            raise PermissionDenied(policy.refusal(Verb.RUN))
        return team


class BulkCountSerializer(serializers.Serializer[Any]):
    action = serializers.ChoiceField(choices=bulk.Action.choices)
    matched = serializers.IntegerField(help_text="Tasks it would concern now")
    refused = serializers.DictField(
        child=serializers.IntegerField(), help_text="How many of them not, by reason"
    )


def answer_bulk(request: Request, context: dict[str, Any]) -> Response:
    """200 with the counts for a dry run, else 202 with the task that does it."""
    body = BulkSerializer(data=request.data, context=context)
    body.is_valid(raise_exception=True)
    user, asked = cast("User", request.user), body.validated_data
    try:
        if _is_dry(request):
            return Response(
                bulk.count(asked["action"], asked["filter"], team=asked["team"], by=user)
            )
        task = bulk.ask(
            asked["action"],
            asked["filter"],
            team=asked["team"],
            by=user,
            idempotency_key=_key(request),
        )
    except ValidationError as error:
        raise serializers.ValidationError({"filter": error.message_dict}) from error
    except IdempotencyConflictError as error:
        raise ConflictError(str(error)) from error
    return Response(TaskSerializer(task).data, status=202)


def _is_dry(request: Request) -> bool:
    text = request.query_params.get("dry_run", "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise serializers.ValidationError({"dry_run": ["true or false"]})
    return text in ("true", "1")


def _key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > 200:
        raise serializers.ValidationError({"Idempotency-Key": ["At most 200 characters."]})
    return key or None
