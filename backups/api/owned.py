"""What the serializers and view sets of this door share."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Model
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import policy
from accounts.models import Team, Teamwork, User
from accounts.policy import Verb
from accounts.rest import ConflictError, TeamScoped, TeamworkSerializer, VisibleRelatedField
from backups.api.refusals import as_problem
from backups.api.schema import DoorSchema
from tasks import transitions
from tasks.live import report
from tasks.places import Place

if TYPE_CHECKING:
    from rest_framework.generics import GenericAPIView

    View = GenericAPIView[Any]
else:
    View = object

Row = TypeVar("Row", bound=Teamwork)

UUID_REGEX = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class Door(TeamScoped):
    """Mixin, left of a view set: the nouns' own refusals become problem documents, and the
    OpenAPI document names them. `conflicting` names the actions that can answer 409."""

    schema = DoorSchema()
    conflicting: ClassVar[frozenset[str]] = frozenset()

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(as_problem(exc))


class Followed(View):
    """Mixin, left of a view set whose rows have a task: its place in the queue, and
    `POST …/cancel/`."""

    places: Mapping[UUID, Place | None] | None = None

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        self.places = report.positions(row.task for row in page or [] if row.task)
        return page

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "places": self.places}

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        row = self.get_object()
        if row.task is None or not transitions.cancel(row.task, by=asker(request)):
            raise ConflictError("It has ended already.")
        row.task.refresh_from_db()
        return Response(self.get_serializer(row).data, status.HTTP_202_ACCEPTED)


class RunnableField(VisibleRelatedField[Row]):
    """A reference to a row that the caller may run: 400 where it is not seen, else 403."""

    def to_internal_value(self, data: Any) -> Row:
        row = super().to_internal_value(data)
        if not policy.may(asker(self.context["request"]), Verb.RUN, row):
            raise PermissionDenied(policy.refusal(Verb.RUN))
        return row


class NamedSerializer(TeamworkSerializer[Row]):
    """For rows whose name is unique in their team; the team is chosen once, when they are made."""

    def validate_team(self, team: Team) -> Team:
        team = super().validate_team(team)
        if self.instance is not None and self.instance.team_id != team.pk:
            raise serializers.ValidationError("It stays in its team; make a new one in the other.")
        return team

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        team = attrs.get("team") or getattr(self.instance, "team", None)
        name = attrs.get("name", getattr(self.instance, "name", ""))
        namesakes = self._model()._default_manager.filter(team=team, name=name)
        if self.instance is not None:
            namesakes = namesakes.exclude(pk=self.instance.pk)
        if namesakes.exists():
            raise self._taken()
        self._as_row(attrs).clean()
        return attrs

    def _as_row(self, attrs: dict[str, Any]) -> Model:
        """What the row would be, so that the model's own rules can look at it."""
        row = copy(self.instance) if self.instance is not None else self._model()()
        for name, value in attrs.items():
            setattr(row, name, value)
        return row

    def save(self, **extra: Any) -> Row:
        try:
            with transaction.atomic():
                return super().save(**extra)
        except IntegrityError:  # somebody took the name since it was looked for
            raise self._taken() from None

    def _taken(self) -> serializers.ValidationError:
        noun = self._model()._meta.verbose_name
        return serializers.ValidationError({"name": f"The team has a {noun} of that name."})

    def _model(self) -> type[Model]:
        model: type[Model] = self.Meta.model
        return model


def asker(request: Request) -> User:
    """Who is asking; the permission classes have seen to it that it is somebody."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def idempotency_key(request: Request) -> str | None:
    """The header `Idempotency-Key`, None where there is none."""
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > 200:
        raise serializers.ValidationError({"Idempotency-Key": "At most 200 characters."})
    return key or None
