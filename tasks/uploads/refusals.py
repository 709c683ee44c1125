"""Why an upload is not taken: its status, one sentence, and the headers that tus wants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

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


def too_large(most: int) -> UploadError:
    return UploadError(413, f"The file is larger than the {most} bytes that are taken.")


def differs(what: str, announced: object, found: object) -> UploadError:
    return UploadError(
        422, f"The {what} differs: {announced} was announced, {found} arrived. Send it again."
    )


def refused_type(found: str, taken: tuple[str, ...]) -> UploadError:
    return UploadError(415, f"The file is {found}; taken are {', '.join(taken)}.")
