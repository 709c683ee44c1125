"""What an administrator allows to be sent: by a user, by a role, to a job."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from accounts.models import Role
from accounts.policy import Verb
from tasks import registry
from tasks.uploads import media_types

NOBODY, ROLE, JOB = Q(user__isnull=True), ~Q(role=""), ~Q(job="")


class UploadLimit(models.Model):
    """A row is for one user, or for one role (in all teams, or in one), or for one job.

    What a row leaves empty it says nothing about; `tasks.uploads.limits` tells which row counts.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="Counts before what is set for their role",
    )
    role = models.CharField(
        max_length=10,
        blank=True,
        choices=[(role.value, role.label) for role in Role if role in Verb.RUN.value],
        help_text="Viewers send no files. Superusers who are no members count as admins",
    )
    team = models.ForeignKey(
        "accounts.Team",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="Only for a role: in this team; empty: in each that has no limits of its own",
    )
    job = models.CharField(
        max_length=100,
        blank=True,
        help_text="Narrows down what anybody may send to it, beside what it says itself",
    )
    max_bytes = models.PositiveBigIntegerField(
        "one file",
        null=True,
        blank=True,
        help_text="Bytes: 1 MB is 1048576, 1 GB is 1073741824. 0: no files at all",
    )
    quota_bytes = models.PositiveBigIntegerField(
        "all files",
        null=True,
        blank=True,
        help_text="Bytes of all that a user has here, in whichever team. 0: no files at all",
    )
    sessions = models.PositiveIntegerField(
        "open uploads",
        null=True,
        blank=True,
        help_text="That a user has begun and not sent yet. 0: no uploads at all",
    )
    types = models.JSONField(
        default=list,
        blank=True,
        help_text="As the content says, commas between them: text/csv, image/*. All again: */*",
    )

    class Meta:
        ordering = ["job", "role", "team", "user"]
        constraints = [
            models.CheckConstraint(
                condition=(~NOBODY & ~ROLE & ~JOB)
                | (NOBODY & ROLE & ~JOB)
                | (NOBODY & ~ROLE & JOB),
                name="tasks_uploadlimit_one",
                violation_error_message="Choose one of user, role and job: whom the limit is for.",
            ),
            models.CheckConstraint(
                condition=Q(team__isnull=True) | ROLE,
                name="tasks_uploadlimit_team",
                violation_error_message="A team only narrows down a role: choose the role too.",
            ),
            models.CheckConstraint(
                condition=~JOB | Q(quota_bytes__isnull=True, sessions__isnull=True),
                name="tasks_uploadlimit_job",
                violation_error_message="A job has neither a quota nor open uploads.",
            ),
            models.UniqueConstraint(
                fields=["user"],
                name="tasks_uploadlimit_user_once",
                violation_error_message="This user has limits already: change those.",
            ),
            models.UniqueConstraint(
                fields=["role"],
                condition=ROLE & Q(team__isnull=True),
                name="tasks_uploadlimit_role_once",
                violation_error_message="This role has limits already: change those.",
            ),
            models.UniqueConstraint(
                fields=["role", "team"],
                condition=ROLE,
                name="tasks_uploadlimit_team_once",
                violation_error_message="This role has limits in that team already: change those.",
            ),
            models.UniqueConstraint(
                fields=["job"],
                condition=JOB,
                name="tasks_uploadlimit_job_once",
                violation_error_message="This job has limits already: change those.",
            ),
        ]

    def __str__(self) -> str:
        if self.job:
            return f"Job {self.job}"
        if self.role:
            name = Role(self.role).name.capitalize()
            return f"{name}s of {self.team}" if self.team_id else f"{name}s"
        return f"User {self.user}"

    def clean(self) -> None:
        """A job that takes files, types that can be read, and something that is limited."""
        if self.job:
            self._clean_job()
        self.types = self._clean_types()
        limited = (self.max_bytes, self.quota_bytes, self.sessions)
        if not self.types and all(each is None for each in limited):
            raise ValidationError("Nothing is limited: fill in at least one of the limits.")

    def _clean_job(self) -> None:
        known = registry.names_with_intake()
        if self.job not in known:
            told = f"No job that takes a file is called so; there are: {', '.join(known)}."
            raise ValidationError({"job": told})
        of_people = "A job has none: set it for a user or a role."
        wrong = [name for name in ("quota_bytes", "sessions") if getattr(self, name) is not None]
        if wrong:
            raise ValidationError(dict.fromkeys(wrong, of_people))

    def _clean_types(self) -> list[str]:
        if not isinstance(self.types, list) or not all(isinstance(one, str) for one in self.types):
            raise ValidationError({"types": "Give a list of media types."})
        types = list(dict.fromkeys(one.strip().lower() for one in self.types))
        if unread := [one for one in types if not media_types.is_pattern(one)]:
            told = f"“{unread[0][:40]}” is no media type: write text/csv, or image/* for all."
            raise ValidationError({"types": told})
        return types
