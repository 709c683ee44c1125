"""The file that a task was given, as its job sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import PermanentError
from tasks.models import Upload
from tasks.uploads import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A complete, checked file. `filename` is what its sender calls it, safe to show and to use
    as a suffix; `content_type` is what its content says."""

    path: Path
    filename: str
    size: int
    sha256: str
    content_type: str


@contextmanager
def given(task_id: str) -> Iterator[Input]:
    """The task's file, for reading. PermanentError where it has none, or it was removed."""
    upload = Upload.objects.filter(task_id=task_id, completed_at__isnull=False).first()
    if upload is None or upload.gone_at is not None:
        raise PermanentError(
            "The file of this task isn't there any more.", remedy="Send it again, as a new task."
        )
    digest = hashlib.sha256()
    unhashed = bool(upload.direct_id) and not upload.sha256
    try:
        with files.held(files.key_of(upload.pk), digest.update if unhashed else None) as path:
            if unhashed:
                _note_hash(upload, digest.hexdigest())
            yield Input(
                path=path,
                filename=upload.filename,
                size=upload.size or 0,
                sha256=upload.sha256,
                content_type=upload.content_type,
            )
    except FileNotFoundError:
        raise PermanentError(
            "The file of this task can't be found in the file storage.",
            remedy="Workers on other machines need a shared file storage: see FILE_STORAGE.",
        ) from None


def _note_hash(upload: Upload, found: str) -> None:
    """A file that went to S3 itself is hashed as it is fetched: so it is read once in all."""
    if upload.wanted_sha256 and found != upload.wanted_sha256:
        raise PermanentError(
            f"The file's SHA-256 differs: {upload.wanted_sha256} was announced, {found} arrived.",
            remedy="Send it again, as a new task.",
        )
    Upload.objects.filter(pk=upload.pk).update(sha256=found)
    upload.sha256 = found
