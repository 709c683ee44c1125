"""Teams own databases, destinations, plans, tasks and backups; members act in a role."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    from accounts.models.users import User


class Role(models.TextChoices):
    """What a member may do; each role may do all that the ones before it may."""

    VIEWER = "viewer", "Viewer: sees"
    OPERATOR = "operator", "Operator: sees and runs"
    ADMIN = "admin", "Admin: sees, runs and changes"


PLATFORM = "system:platform"


class Team(models.Model):
    """The owner of things; the first one is made at first start."""

    name = models.CharField(max_length=100, unique=True)
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="accounts.Membership", related_name="teams"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def home_of(cls, user: User) -> Team | None:
        """The team that what this user makes belongs to when none is named: the first joined."""
        return cls.objects.filter(membership__user=user).order_by("membership__id").first()

    @classmethod
    def of_platform(cls) -> Team | None:
        """The owner of what the platform does for its own sake. It has no members, and nobody runs
        or changes what it owns. None before the first start has made a team for people.
        """
        known = cls.objects.filter(name=PLATFORM).first()
        if known is None and cls.objects.exists():
            known, _ = cls.objects.get_or_create(name=PLATFORM)
        return known


class Membership(models.Model):
    """One user in one team, in one role."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    team = models.ForeignKey(Team, on_delete=models.CASCADE)
    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)

    team_path: ClassVar[str] = "team"

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "team"], name="accounts_membership_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team} as {self.role}"


class Teamwork(models.Model):
    """Base of every row a team owns; `accounts.policy` reads the team from it.

    A row that belongs to such a row is no Teamwork itself: it says `team_path = "task__team"`.
    """

    team_path: ClassVar[str] = "team"

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="+")

    class Meta:
        abstract = True
