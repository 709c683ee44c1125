"""Files that jobs bring: made on local disk, taken into the file storage, removed when over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from tasks import clock
from tasks.models import Artifact
from tasks.uploads import files, sniffing
from tasks.uploads.sessions import safe_name

if TYPE_CHECKING:
    from tasks.registry import Context

KIND = "artifact"
"""Of what an attempt has opened while it makes one."""
_BLOCK = 1 << 20


@contextmanager
def making(context: Context, name: str, content_type: str, number: int) -> Iterator[Path]:
    """The path of an empty file to be written; left without an error it is the task's result.

    It shows once the attempt has succeeded. Of an attempt that fails or dies nothing stays.
    """
    key = f"results/{context.task_id}/{context.attempt}-{number}"
    context.opened(KIND, key=key)
    path = files.local(key)
    path.touch(mode=0o600)
    try:
        yield path
        found = _described(path, key, name, content_type)
        files.hand_over(key)
        with transaction.atomic():
            context.confirm()
            Artifact.objects.create(task_id=context.task_id, attempt=context.attempt, **found)
    except BaseException:
        files.remove(key)
        raise
    context.closed(KIND, key=key)


def _described(path: Path, key: str, name: str, content_type: str) -> dict[str, object]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        head = file.read(sniffing.LOOKED_AT)
        digest.update(head)
        while block := file.read(_BLOCK):
            digest.update(block)
    return {
        "key": key,
        "name": safe_name(name) or "result",
        "size": path.stat().st_size,
        "sha256": digest.hexdigest(),
        "content_type": content_type or sniffing.type_of(head, name),
        "expires_at": clock.read() + timedelta(seconds=settings.RESULT_EXPIRES_SECONDS),
    }


def undo(opened: Mapping[str, str]) -> None:
    """Remove what a dead attempt was making; idempotent."""
    if not Artifact.objects.filter(key=opened["key"]).exists():
        files.remove(opened["key"])


def remove(artifact: Artifact) -> None:
    """Remove the bytes; the row stays, and says when."""
    files.remove(artifact.key)
    Artifact.objects.filter(pk=artifact.pk, gone_at__isnull=True).update(gone_at=clock.now())
