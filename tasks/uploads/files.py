"""Where files lie. What is being sent is on local disk from its first byte. Once complete it stays
there, or, with a remote file storage, is moved into that, where workers of other machines find it.

Keys: `incoming/<upload>` and `results/<task>/<attempt>-<number>`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, storages

ALIAS = "files"
_BLOCK = 1 << 20


def storage() -> Any:
    """The file storage: any backend of Django's or django-storages'."""
    return storages[ALIAS]


def is_local() -> bool:
    return isinstance(storage(), FileSystemStorage)


def is_s3() -> bool:
    return hasattr(storage(), "bucket_name")


def s3_client() -> Any:
    """boto3's own, with the storage's settings: for what the storage can't do, or does whole."""
    return storage().connection.meta.client


def s3_place(key: str) -> dict[str, str]:
    """Bucket and key as the client takes them."""
    prefix = str(storage().location).strip("/")
    return {"Bucket": storage().bucket_name, "Key": f"{prefix}/{key}" if prefix else key}


def local(key: str) -> Path:
    """The place of a key on this machine's disk, in a folder that nobody else may enter."""
    path = Path(settings.UPLOAD_DIR) / key
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def key_of(pk: UUID) -> str:
    return f"incoming/{pk.hex}"


def path_of(pk: UUID) -> Path:
    """The file of an upload while it is being sent, whether it is there yet or not."""
    return local(key_of(pk))


# What is being sent -----------------------------------------------------------------------------


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


# What is complete -------------------------------------------------------------------------------


def hand_over(key: str) -> None:
    """Move a complete local file to where workers look for it; it streams, and may take a while."""
    if is_local():
        return
    path = local(key)
    with path.open("rb") as file:
        kept = storage().save(key, File(file))
    if kept != key:  # an earlier try had got that far
        storage().delete(key)
        storage().delete(kept)
        with path.open("rb") as file:
            storage().save(key, File(file))
    path.unlink()


@contextmanager
def held(key: str, note: Callable[[bytes], object] | None = None) -> Iterator[Path]:
    """A complete file as a local path; a remote one is fetched for as long, and each block of it
    passes `note`. FileNotFoundError.
    """
    path = local(key)
    if is_local() or path.exists():
        if not path.exists():
            raise FileNotFoundError(key)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="backdrop-file-") as folder:
        fetched = Path(folder) / "file"
        with open_at(key, 0) as source, fetched.open("wb") as target:
            while block := source.read(_BLOCK):
                if note is not None:
                    note(block)
                target.write(block)
        yield fetched


def open_at(key: str, offset: int) -> Any:
    """A complete file to read from, at that byte. FileNotFoundError where it is gone.

    The storage's own file for S3 would fetch the whole object before its first byte.
    """
    if is_s3():
        return _body_of(key, offset)
    file = storage().open(key, "rb")
    file.seek(offset)
    return file


def _body_of(key: str, offset: int) -> Any:
    from botocore.exceptions import ClientError

    wanted = {"Range": f"bytes={offset}-"} if offset else {}
    try:
        return s3_client().get_object(**s3_place(key), **wanted)["Body"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            raise FileNotFoundError(key) from None
        raise


def remove(key: str) -> None:
    """Wherever it has got to; no error where there is none."""
    path = local(key)
    path.unlink(missing_ok=True)
    path.with_suffix(".unchecked").unlink(missing_ok=True)
    if not is_local():
        storage().delete(key)
    elif path.parent != Path(settings.UPLOAD_DIR) / "incoming":
        with suppress(OSError):  # others are still there
            path.parent.rmdir()


def exists(key: str) -> bool:
    return local(key).exists() or (not is_local() and bool(storage().exists(key)))
