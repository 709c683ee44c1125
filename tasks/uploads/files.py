"""Where files lie: one for each upload on local disk from its first byte, kept there or moved into
the file storage once it is complete."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from django.conf import settings


def path_of(pk: UUID) -> Path:
    """The file of an upload, whether it is there yet or not."""
    return Path(settings.UPLOAD_DIR) / "incoming" / pk.hex


def prepare(pk: UUID) -> Path:
    """The same, in a folder that nobody else may enter."""
    path = path_of(pk)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def mark(pk: UUID, *, provisional: bool) -> None:
    """Whether what is being written counts only once it was checked, even after a crash."""
    if provisional:
        _mark_of(pk).touch(mode=0o600)
    else:
        _mark_of(pk).unlink(missing_ok=True)


def is_provisional(pk: UUID) -> bool:
    return _mark_of(pk).exists()


def _mark_of(pk: UUID) -> Path:
    return path_of(pk).with_suffix(".unchecked")


def remove(pk: UUID) -> None:
    path_of(pk).unlink(missing_ok=True)
    _mark_of(pk).unlink(missing_ok=True)


def free_bytes() -> int:
    with suppress(FileNotFoundError):
        return shutil.disk_usage(settings.UPLOAD_DIR).free
    return shutil.disk_usage(settings.VAR_DIR).free


@contextmanager
def held(pk: UUID) -> Iterator[Path]:
    """The complete file as a path, for a job to read. Raises FileNotFoundError."""
    path = path_of(pk)
    if not path.exists():
        raise FileNotFoundError(path.name)
    yield path
