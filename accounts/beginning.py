"""What a first start makes: the team, the first admin, and what other apps add by hooks.

A hook is a function named in `settings.FIRST_START`, called as `hook(team, first=…)` at every
start, inside the transaction: `first` is True where the team has just been made. It adds only
what isn't there yet; a person may have removed on purpose what it made at the first start.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from accounts import keys
from accounts.errors import NameTakenError
from accounts.models import KeyFingerprint, Membership, Role, Team, User

FIRST_TEAM = "Home"

Tell = Callable[["Beginning"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What is there after a start; `password` only where it was generated just now."""

    team: Team
    first: bool
    admin: User | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"<Beginning of {self.team}, first={self.first}>"


def begin(*, username: str, password: str, tell: Tell) -> Beginning:
    """Make what is missing; safe to be called again, and by several machines at once.

    Without `password` one is generated. `tell` is called last and inside the transaction: where
    the generated password could not be told, nobody has it, and nothing was made.
    Raises WrongKeyError, or NameTakenError where somebody else is called `username`.
    """
    keys.remember()
    with transaction.atomic():
        # Whoever comes second waits here; with SQLite at the line above.
        KeyFingerprint.objects.select_for_update().get(pk=KeyFingerprint.ONLY)
        team = Team.objects.order_by("pk").first()
        first = team is None
        team = team or Team.objects.create(name=FIRST_TEAM)
        admin, generated = _admin(team, username, password)
        for hook in _hooks():
            hook(team, first=first)
        beginning = Beginning(team=team, first=first, admin=admin, password=generated)
        tell(beginning)
    return beginning


def _admin(team: Team, username: str, password: str) -> tuple[User | None, str | None]:
    """A superuser if there is none, and the password if it had to be made up."""
    if User.objects.filter(is_superuser=True).exists():
        return None, None
    if User.objects.filter(username=username).exists():
        raise NameTakenError(username)
    generated = None if password else secrets.token_urlsafe(18)
    admin = User.objects.create_superuser(username, password=password or generated)
    Membership.objects.create(user=admin, team=team, role=Role.ADMIN)
    return admin, generated


def _hooks() -> Iterable[Callable[..., None]]:
    return [import_string(name) for name in settings.FIRST_START]
