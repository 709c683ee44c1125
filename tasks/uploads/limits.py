"""What a user may send to a job: by what is set for them, for their role, for the job, and here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Max, Q, Value
from django.db.models.functions import Coalesce

from accounts.models import Membership, Role
from accounts.policy import Verb
from tasks.models import Upload, UploadLimit
from tasks.uploads import media_types, refusals

if TYPE_CHECKING:
    from accounts.models import Team, User
    from tasks.registry import Job
    from tasks.uploads.refusals import UploadError

ALL_TYPES = (media_types.EVERYTHING,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What one user may send to one job in one team. `own_…` is theirs whatever the job; what the
    job takes narrows it down."""

    own_bytes: int
    own_types: tuple[str, ...]
    quota_bytes: int
    sessions: int
    job: str = ""
    """Its title; none for a part of a file, of which nobody knows yet what it is for."""
    job_bytes: int | None = None
    job_types: tuple[str, ...] = ALL_TYPES

    @property
    def max_bytes(self) -> int:
        """The largest file."""
        return self.own_bytes if self.job_bytes is None else min(self.own_bytes, self.job_bytes)

    @property
    def types(self) -> tuple[str, ...]:
        """Patterns of what is taken; none: nothing is."""
        return media_types.common(self.job_types, self.own_types)

    def refusal(self) -> UploadError | None:
        """Why nothing may be sent at all, whatever it is."""
        if self.sessions == 0:
            return refusals.nothing_allowed()
        if self.own_bytes == 0 or self.quota_bytes == 0:
            return refusals.nothing_allowed(413)
        if self.job_bytes == 0:
            return refusals.nothing_taken(self.job)
        if not self.types:
            return refusals.nothing_in_common(self.job, self.job_types, self.own_types)
        return None

    def check(self, size: int | None) -> None:
        """Raises UploadError (403, 413, 415) where nothing may be sent, or nothing so large."""
        if refused := self.refusal():
            raise refused
        if size is not None:
            self.check_size(size)

    def check_size(self, size: int) -> None:
        """Raises UploadError (413) for a file that is too large."""
        if size > self.own_bytes and self.own_bytes == self.max_bytes:
            raise refusals.too_large(self.own_bytes)
        if size > self.max_bytes:
            raise refusals.too_large(self.max_bytes, taken_by=self.job)

    def check_type(self, found: str) -> None:
        """Raises UploadError (415) for a type that the job doesn't take, or not from them."""
        if not self.types:  # since it was asked for
            raise refusals.nothing_in_common(self.job, self.job_types, self.own_types)
        if not _taken(found, self.job_types):
            raise refusals.refused_type(found, self.job_types)
        if not _taken(found, self.own_types):
            raise refusals.refused_type(found, self.own_types, own=True)


def of(user: User | None, team: Team | int | None, job: Job | None) -> Allowance:
    """What `user` may send to `job` in `team`: one query.

    Without a job it is a part of a file: what it will be joined to tells what it is for.
    """
    own, jobs = _rows(user, team, [job.name] if job is not None else [])
    return _narrowed(_own(own), job, jobs)


def by_job(user: User, team: Team | None, jobs: Iterable[Job]) -> dict[str, Allowance]:
    """The same for several jobs, by name; also one query."""
    wanted = list(jobs)
    own, rows = _rows(user, team, [job.name for job in wanted])
    return {job.name: _narrowed(_own(own), job, rows) for job in wanted}


def of_upload(upload: Upload) -> Allowance:
    """What its sender may send; asked once, however often it is looked at in one request."""
    from tasks.uploads import sessions  # it knows of this module

    kept = vars(upload)
    if "allowance" not in kept:
        kept["allowance"] = of(upload.owner, upload.team_id, sessions.job_of(upload))
    allowance: Allowance = kept["allowance"]
    return allowance


def largest() -> int:
    """The most bytes that anybody may send as one file."""
    rows = UploadLimit.objects.filter(job="").aggregate(most=Max("max_bytes"))
    return max(settings.UPLOAD_MAX_BYTES, rows["most"] or 0)


def _rows(
    user: User | None, team: Team | int | None, names: list[str]
) -> tuple[list[UploadLimit], dict[str, UploadLimit]]:
    """Those for the user, with the one that counts first; and those for jobs."""
    rows = list(UploadLimit.objects.filter(_for(user, team) | Q(job__in=names)))
    own = [row for row in rows if not row.job]
    own.sort(key=lambda row: (row.user_id is None, row.team_id is None))
    return own, {row.job: row for row in rows if row.job}


def _for(user: User | None, team: Team | int | None) -> Q:
    if user is None:  # the account is gone, what it began may still come
        return Q(pk__in=[])
    joined = Membership.objects.filter(user=user, team=team, role__in=Verb.RUN.value)
    role: Any = joined.values("role")[:1]
    if user.is_superuser:
        role = Coalesce(role, Value(Role.ADMIN))
    return Q(user=user) | (Q(role=role) & (Q(team=team) | Q(team__isnull=True)))


def _own(rows: list[UploadLimit]) -> Mapping[str, Any]:
    """Each quantity from the first row that says something of it, else from the settings."""

    def first(name: str, otherwise: Any) -> Any:
        said = (getattr(row, name) for row in rows)
        return next((value for value in said if value not in (None, [])), otherwise)

    return {
        "own_bytes": first("max_bytes", settings.UPLOAD_MAX_BYTES),
        "own_types": tuple(first("types", ALL_TYPES)),
        "quota_bytes": first("quota_bytes", settings.UPLOAD_QUOTA_BYTES),
        "sessions": first("sessions", settings.UPLOAD_SESSIONS),
    }


def _narrowed(
    own: Mapping[str, Any], job: Job | None, rows: Mapping[str, UploadLimit]
) -> Allowance:
    """With what the job says in its code, and what an administrator says of it."""
    if job is None or job.intake is None:
        return Allowance(**{**own, "own_types": ALL_TYPES})
    row = rows.get(job.name)
    most = [job.intake.max_bytes, row.max_bytes if row else None]
    types = job.intake.types or ALL_TYPES
    return Allowance(
        **own,
        job=job.title,
        job_bytes=min((each for each in most if each is not None), default=None),
        job_types=media_types.common(types, row.types) if row and row.types else types,
    )


def _taken(found: str, patterns: tuple[str, ...]) -> bool:
    return any(media_types.matches(found, pattern) for pattern in patterns)
