"""Why an upload is not taken: its status, one sentence, and the headers that tus wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.template.defaultfilters import filesizeformat

if TYPE_CHECKING:
    from tasks.models import Upload


class UploadError(Exception):
    """Told to the sender as a problem document."""

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})


class FencedError(UploadError):
    """A newer request writes this upload, or it was cancelled meanwhile."""


def unknown() -> UploadError:
    return UploadError(404, "There is no such upload.")


def gone(why: str, at: datetime | None) -> UploadError:
    when = f" at {at:%Y-%m-%dT%H:%M:%SZ}" if at else ""
    return UploadError(410, f"This upload {why}{when}. Ask for a new one.")


def overtaken() -> FencedError:
    return FencedError(409, "Another request has gone on with this upload; this one has ended.")


def busy() -> UploadError:
    return UploadError(
        503,
        "The process that wrote this upload before doesn't let go of it. Try again.",
        {"Retry-After": "2"},
    )


def finishing() -> UploadError:
    """423 is what tus clients ask again after."""
    return UploadError(
        423, "All of it has come and is being stored. Ask again.", {"Retry-After": "2"}
    )


def storage_away() -> UploadError:
    return UploadError(
        503, "The file storage doesn't answer as it should. Try again.", {"Retry-After": "5"}
    )


def complete(upload: Upload) -> UploadError:
    return UploadError(
        409,
        "The file is complete: nothing more is taken.",
        {"Upload-Offset": str(upload.offset)},
    )


def too_large(most: int, *, taken_by: str = "") -> UploadError:
    """By what its sender may, or by what a job takes: its title."""
    if taken_by:
        who, instead = f"“{taken_by}” takes", ""
    else:
        who, instead = "you may send", ", or have an administrator allow you more"
    told = f"The file is larger than the {bytes_of(most)} that {who}. Send a smaller one{instead}."
    return UploadError(413, told)


def over_quota(would: int, quota: int) -> UploadError:
    return UploadError(
        413,
        f"Your files here would take {bytes_of(would)}, of the {bytes_of(quota)} you may use. "
        "Older ones go when they expire; an administrator can allow you more.",
    )


def too_many(most: int) -> UploadError:
    open_now = "1 upload" if most == 1 else f"{most} uploads"
    return UploadError(
        429,
        f"You have {open_now} open, and no more at once. Send or cancel some of them first.",
        {"Retry-After": "60"},
    )


def nothing_allowed(status: int = 403) -> UploadError:
    return UploadError(
        status, "You may send no files here. An administrator has set that, and can allow it."
    )


def nothing_taken(job: str) -> UploadError:
    return UploadError(413, f"“{job}” takes no files now. An administrator has set that.")


def nothing_in_common(job: str, taken: Sequence[str], allowed: Sequence[str]) -> UploadError:
    if not taken:
        return UploadError(415, f"“{job}” takes no type of file now. Tell an administrator.")
    return UploadError(
        415,
        f"“{job}” takes {', '.join(taken)}, and you may send only {', '.join(allowed)}. "
        "An administrator can allow you more.",
    )


def bytes_of(count: int) -> str:
    """`700 bytes`, `5000000 bytes (4.8 MB)`: exact, and as people say it where it is long."""
    said = filesizeformat(count).replace("\xa0", " ")
    return f"{count} bytes ({said})" if count >= 1 << 20 else f"{count} bytes"


def differs(what: str, announced: object, found: object) -> UploadError:
    return UploadError(
        422, f"The {what} differs: {announced} was announced, {found} arrived. Send it again."
    )


def refused_type(found: str, taken: Sequence[str], *, own: bool = False) -> UploadError:
    """By what the job takes, or by what its sender may send."""
    if own:
        told = f"you may send only {', '.join(taken)}. An administrator can allow you more."
    else:
        told = f"taken are {', '.join(taken)}."
    return UploadError(415, f"The file is {found}; {told}")
