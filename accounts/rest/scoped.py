"""View sets and serializers of rows that teams own: 404 if unseen, 403 if the role is too small.

    class PlanSerializer(TeamworkSerializer[Plan]):
        class Meta:
            model = Plan
            fields = ["id", "team", "name", "database", "destination"]

    class PlanViewSet(TeamScoped, viewsets.ModelViewSet):
        queryset = Plan.objects.all()
        serializer_class = PlanSerializer
        verbs = {"start": Verb.RUN}

        @action(detail=True, methods=["post"])
        def start(self, request, pk=None):
            plan = self.get_object()          # 404 unseen, 403 for viewers

Reading takes the verb SEE, everything else CHANGE unless `verbs` says otherwise by action name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.db.models import Model
from rest_framework import permissions, serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.fields import SkipField, empty
from rest_framework.relations import PrimaryKeyRelatedField

from accounts import policy
from accounts.fields import EncryptedTextField
from accounts.models import Team, Teamwork, User
from accounts.policy import Verb

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.generics import GenericAPIView
    from rest_framework.request import Request
    from rest_framework.views import APIView

    Base = GenericAPIView[Any]
else:
    Base = object

Row = TypeVar("Row", bound=Model)
OwnedRow = TypeVar("OwnedRow", bound=Teamwork)


class MayInTeam(permissions.BasePermission):
    """Lets through what `accounts.policy` allows; the view says the verb (see `TeamScoped`)."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Who may create nowhere is told so before the body is read."""
        verb = verb_of(view)
        self.message = policy.refusal(verb)
        detail = "pk" in view.kwargs or getattr(view, "lookup_url_kwarg", None) in view.kwargs
        unknown = getattr(view, "action", "") is None  # answered with 405 further on
        if verb is Verb.SEE or detail or unknown:
            return True
        return policy.teams_where(_user(request), verb).exists()

    def has_object_permission(self, request: Request, view: APIView, obj: Model) -> bool:
        verb = verb_of(view)
        self.message = policy.refusal(verb)
        return policy.may(_user(request), verb, obj)


class TeamScoped(Base):
    """Mixin, left of a DRF generic view or view set: what others own is not there at all.

    `get_queryset` and `get_object` are limited to what the caller may see, so that every
    `self.get_object()` answers 404 for another team's row and 403 where the role is too small.
    Override `queryset` or call `super().get_queryset()`; never start from the manager.
    """

    permission_classes = [permissions.IsAuthenticated, MayInTeam]
    verbs: ClassVar[dict[str, Verb]] = {}

    def get_queryset(self) -> QuerySet[Any]:
        return policy.visible(_user(self.request), super().get_queryset())


def verb_of(view: APIView) -> Verb:
    """The verb of the request a view is answering: by the action's name, else by the method."""
    action = getattr(view, "action", None) or ""
    named: dict[str, Verb] = getattr(view, "verbs", {})
    if action in named:
        return named[action]
    return Verb.SEE if view.request.method in permissions.SAFE_METHODS else Verb.CHANGE


class VisibleRelatedField(PrimaryKeyRelatedField[Row]):
    """A reference by primary key; a row the caller may not see is one that does not exist."""

    def get_queryset(self) -> QuerySet[Row] | None:
        queryset = super().get_queryset()
        if queryset is None or not _owned(queryset.model):
            return queryset
        return policy.visible(_user(self.context.get("request")), queryset)


class SecretField(serializers.CharField):
    """Goes in, never comes out; left out or empty, what is stored stays."""

    def __init__(self, **options: Any) -> None:
        style = {"input_type": "password"}
        settled = {"write_only": True, "trim_whitespace": False, "style": style}
        super().__init__(**{"required": False, "allow_blank": True, **options, **settled})

    def run_validation(self, data: Any = empty) -> Any:
        if data in ("", None) and getattr(self.parent, "instance", None) is not None:
            raise SkipField
        return super().run_validation(data)


class HomeTeam:
    """Default of `team`: the team it is in already, else the caller's own."""

    requires_context = True

    def __call__(self, field: serializers.Field[Any, Any, Any, Any]) -> Team:
        instance = getattr(field.parent, "instance", None)
        if isinstance(instance, Teamwork):
            return instance.team
        user = _user(field.context.get("request"))
        home = Team.home_of(user) if user else None
        if home is None:
            raise serializers.ValidationError("You are in no team; name the one this belongs to.")
        return home


class TeamworkSerializer(serializers.ModelSerializer[OwnedRow]):
    """For rows that a team owns; list `team` among the fields.

    `team` defaults to the caller's home team; a team (or any other row referred to) that the
    caller may not see does not exist for them, one in which their role is too small answers 403,
    and everything referred to must belong to the same team. Encrypted fields are write-only.
    """

    serializer_related_field = VisibleRelatedField
    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        EncryptedTextField: SecretField,
    }
    team = VisibleRelatedField(queryset=Team.objects.all(), default=HomeTeam())

    def validate_team(self, team: Team) -> Team:
        view = self.context.get("view")
        verb = verb_of(view) if view else Verb.CHANGE
        if not policy.may(_user(self.context.get("request")), verb, team):
            raise PermissionDenied(policy.refusal(verb))
        return team

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        team = attrs.get("team") or getattr(self.instance, "team", None)
        foreign = {
            name: f"This belongs to another team than {team}."
            for name, row in attrs.items()
            if isinstance(row, Teamwork) and row.team_id != getattr(team, "pk", None)
        }
        if foreign:
            raise serializers.ValidationError(foreign)
        return attrs


def _owned(model: type[Model]) -> bool:
    return issubclass(model, (Team, User)) or hasattr(model, "team_path")


def _user(request: Request | None) -> User | None:
    user = getattr(request, "user", None)
    return user if isinstance(user, User) else None
