"""How much may be sent, and what: by the service, the sender and the job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from tasks.models import Upload
from tasks.registry import Job
from tasks.states import Status
from tasks.uploads import refusals
from tasks.uploads.refusals import UploadError

if TYPE_CHECKING:
    from accounts.models import User


def most_bytes(job: Job | None) -> int:
    """The largest file that is taken; `None` is a part of a file, whose job isn't known yet."""
    own = job.intake.max_bytes if job is not None and job.intake is not None else None
    return min(settings.UPLOAD_MAX_BYTES, own or settings.UPLOAD_MAX_BYTES)


def check_size(size: int, job: Job | None) -> None:
    """Raises UploadError (413) for a file that is too large."""
    if size > most_bytes(job):
        raise refusals.too_large(most_bytes(job))


def check_room(owner: User, size: int | None) -> None:
    """Raises UploadError where the sender has too much here, or too many half sent."""
    mine = Upload.objects.filter(owner=owner, gone_at__isnull=True)
    half_sent = mine.filter(completed_at__isnull=True).filter(
        Q(task__isnull=True) | Q(task__status__in=(Status.AWAITING_UPLOAD, Status.UPLOADING))
    )
    if half_sent.count() >= settings.UPLOAD_SESSIONS:
        raise UploadError(
            429,
            f"You have {settings.UPLOAD_SESSIONS} uploads open. Send or cancel some of them first.",
            {"Retry-After": "60"},
        )
    kept = mine.aggregate(bytes=Sum(Coalesce("size", "offset")))["bytes"] or 0
    if kept + (size or 0) > settings.UPLOAD_QUOTA_BYTES:
        raise UploadError(
            413,
            f"Your files here would take {kept + (size or 0)} bytes, of the "
            f"{settings.UPLOAD_QUOTA_BYTES} you may use. Older ones go when they expire.",
        )


def check_type(found: str, job: Job | None) -> None:
    """Raises UploadError (415) for a type that the job doesn't take."""
    taken = job.intake.types if job is not None and job.intake is not None else ()
    if taken and not any(_matches(found, each) for each in taken):
        raise refusals.refused_type(found, taken)


def _matches(found: str, taken: str) -> bool:
    kind, _, rest = taken.partition("/")
    return found == taken or (rest == "*" and found.startswith(f"{kind}/"))
