"""Who may do what to what: the one place every door asks (REST, pages, admin, gRPC, sockets).

    policy.may(user, Verb.RUN, plan)            -> bool
    policy.visible(user, Plan.objects.all())    -> the rows this user may see
    policy.teams_where(user, Verb.CHANGE)       -> the teams in which this user may change things
    policy.get_or_404(user, Verb.RUN, Plan.objects.all(), pk=7)
    policy.may_operate(user)                    -> bool, about what belongs to no team

What is asked about is a `Team`, a `User`, or a row of a model that names the way to its team:
`Teamwork` does so for every row a team owns; a row that hangs on one says it itself, as
`team_path = "task__team"`. Asking about anything else raises TypeError, whoever asks, so that a
forgotten model is found by its first test and not by a stranger.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404

from accounts.models import Membership, Role, Team, User
from accounts.models.teams import PLATFORM

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser
    from django.db.models import Model, QuerySet

    Asker = User | AnonymousUser | None

Row = TypeVar("Row", bound="Model")


class Verb(Enum):
    """What is asked for; the value is the roles that may do it."""

    SEE = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
    RUN = (Role.OPERATOR, Role.ADMIN)
    CHANGE = (Role.ADMIN,)


def may(user: Asker, verb: Verb, thing: Model) -> bool:
    """Whether `user` may do `verb` to `thing`; a new thing needs its team set, not to be saved."""
    if isinstance(thing, User):
        return visible(user, User.objects.filter(pk=thing.pk), verb).exists()
    team_id = _team_id(thing)
    return teams_where(user, verb).filter(pk=team_id).exists()


def visible(user: Asker, queryset: QuerySet[Row], verb: Verb = Verb.SEE) -> QuerySet[Row]:
    """The rows of `queryset` that `user` may see (or do `verb` to)."""
    model = queryset.model
    if issubclass(model, User):
        return queryset.filter(_people(user, verb))
    path = team_path(model)
    asker = _active(user)
    if asker is None:
        return queryset.none()
    if asker.is_superuser:
        return queryset
    return queryset.filter(**{f"{path}__in": teams_where(user, verb)})


def teams_where(user: Asker, verb: Verb) -> QuerySet[Team]:
    """The teams in which `user`'s role allows `verb`; for a superuser all, but what belongs to the
    platform itself is only to be looked at."""
    asker = _active(user)
    if asker is None:
        return Team.objects.none()
    if asker.is_superuser:
        everything = Team.objects.all()
        return everything if verb is Verb.SEE else everything.exclude(name=PLATFORM)
    joined = Membership.objects.filter(user=asker, role__in=verb.value)
    return Team.objects.filter(pk__in=joined.values("team"))


def may_operate(user: Asker) -> bool:
    """Whether `user` may hold back and let go what belongs to no team and serves them all: queues,
    kinds of job, workers. Staff may."""
    asker = _active(user)
    return asker is not None and (asker.is_staff or asker.is_superuser)


def get_or_404(user: Asker, verb: Verb, queryset: QuerySet[Row], **lookup: Any) -> Row:
    """The one row that `lookup` names, if `user` may do `verb` to it.

    Raises Http404 where the user may not even see it, so that nobody learns what others have;
    PermissionDenied where it is seen but the role is too small.
    """
    row = visible(user, queryset).filter(**lookup).first()
    if row is None:
        raise Http404(f"There is no such {queryset.model._meta.verbose_name}.")
    if not may(user, verb, row):
        raise PermissionDenied(refusal(verb))
    return row


def refusal(verb: Verb) -> str:
    """The sentence for somebody whose role is too small."""
    return f"This takes the role {verb.value[0].value} in the team that owns it."


def team_path(model: type[Model]) -> str:
    """The lookup that leads from a row of `model` to its team; TypeError where there is none."""
    if issubclass(model, Team):
        return "pk"
    path = getattr(model, "team_path", None)
    if path is None:
        raise TypeError(
            f"{model._meta.label} has no team_path, so no policy can say who may see it."
        )
    return str(path)


def _team_id(thing: Model) -> Any:
    *way, last = team_path(type(thing)).split("__")
    for step in way:
        thing = getattr(thing, step)
    return thing.pk if last == "pk" else getattr(thing, f"{last}_id")


def _people(user: Asker, verb: Verb) -> Q:
    """Everybody sees themselves and their team mates; only a superuser does more to an account."""
    asker = _active(user)
    if asker is not None and asker.is_superuser:
        return Q()
    if asker is None or verb is not Verb.SEE:
        return Q(pk__in=[])
    mates = Membership.objects.filter(team__in=teams_where(asker, Verb.SEE))
    return Q(pk=asker.pk) | Q(pk__in=mates.values("user"))


def _active(user: Asker) -> User | None:
    return user if isinstance(user, User) and user.is_active else None
