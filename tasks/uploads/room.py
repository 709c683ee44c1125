"""What a user has here already, and whether there is room for more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from accounts.models import User
from tasks.models import Upload
from tasks.states import Status
from tasks.uploads import limits, refusals

if TYPE_CHECKING:
    from tasks.uploads.limits import Allowance

_HALF_SENT = Q(completed_at__isnull=True) & (
    Q(task__isnull=True) | Q(task__status__in=(Status.AWAITING_UPLOAD, Status.UPLOADING))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Bytes of all files of a user that haven't gone yet, announced ones included; how many of
    them are still to be sent."""

    bytes: int
    sessions: int


def used_by(user: User | None) -> Used:
    found = _of(user).aggregate(
        bytes=Sum(Coalesce("size", "offset")), sessions=Count("pk", filter=_HALF_SENT)
    )
    return Used(bytes=found["bytes"] or 0, sessions=found["sessions"])


def check(owner: User, allowance: Allowance, size: int | None) -> None:
    """Raises UploadError where one more file would be too much (413), or one more upload (429).

    Inside the caller's transaction, which makes the upload: until it ends nobody else makes one in
    the owner's name, so that two that ask at once don't share the last room.
    """
    take_turn(owner)
    used = used_by(owner)
    if used.sessions >= allowance.sessions:
        raise refusals.too_many(allowance.sessions)
    least = 1 if size is None else size  # one byte at least will come
    if used.bytes + least > allowance.quota_bytes:
        raise refusals.over_quota(used.bytes + least, allowance.quota_bytes)


def take_turn(owner: User | None) -> None:
    """Wait until nobody else looks for room for that user; SQLite writes one at a time anyway."""
    if owner is not None:
        list(User.objects.select_for_update(no_key=True).filter(pk=owner.pk).values_list("pk"))


def most_bytes(upload: Upload, size: int, *, instead_of: Iterable[Upload] = ()) -> int:
    """How large a file may get whose size nobody has told, for now: others need room too.

    Raises UploadError (413) where `size` is more. The file takes the place of what it is made of.
    """
    allowance = limits.of_upload(upload)
    allowance.check_size(size)
    ours = [upload.pk, *(part.pk for part in instead_of)]
    found = _of(upload.owner).exclude(pk__in=ours).aggregate(bytes=Sum(Coalesce("size", "offset")))
    others = found["bytes"] or 0
    if others + size > allowance.quota_bytes:
        raise refusals.over_quota(others + size, allowance.quota_bytes)
    return min(allowance.max_bytes, allowance.quota_bytes - others)


def _of(user: User | None) -> Any:
    """An account that is gone has no files: what it began counts for nobody."""
    if user is None:
        return Upload.objects.none()
    return Upload.objects.filter(owner=user, gone_at__isnull=True)
