"""System users: who asks when nobody does, such as the scheduler.

They have no password that works, and operate in a team once something of that team is theirs to
run. Their names hold a colon, which no person's can.
"""

from __future__ import annotations

from accounts.models import Membership, Role, Team, User

SCHEDULER = "system:scheduler"


def scheduler(team: Team) -> User:
    """The user as whom schedules of that team are run."""
    user = User.objects.filter(username=SCHEDULER).first() or _made(SCHEDULER)
    Membership.objects.get_or_create(user=user, team=team, defaults={"role": Role.OPERATOR})
    return user


def _made(name: str) -> User:
    user = User(username=name)
    user.set_unusable_password()
    return User.objects.get_or_create(username=name, defaults={"password": user.password})[0]
