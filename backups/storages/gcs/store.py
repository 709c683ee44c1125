"""Objects in a bucket of Google Cloud Storage, or of what speaks its JSON API."""

from __future__ import annotations

import copy
import itertools
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.cloud.storage import Blob

from backups.pipeline.errors import MissingObjectError, ObjectExistsError, StorageError
from backups.pipeline.ports import StoredObject, Stream
from backups.storages import keys, probe
from backups.storages.calls import Caller
from backups.storages.gcs import refusals
from backups.storages.gcs.connection import Connection, Limits, Settings
from backups.storages.gcs.reading import GCSReading
from backups.storages.gcs.refusals import Place, UploadGoneError
from backups.storages.gcs.upload import GCSUpload, cancel
from backups.storages.parts import Cut, Part

__all__ = ["GCSStore", "Limits", "Settings"]

WRITER = "backdrop-writer"
"""Metadata by which a writer knows its own object when the answer to its last call got lost."""
CHECK_SECONDS = 3.0
"""Patience of a check, for which a person waits."""
PAGE = 1000
"""How many entries are asked for at once."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the server says of an object."""

    size: int
    generation: str
    checksum: str


class GCSStore:
    """An ObjectStore in a bucket, under a prefix.

    Every object is stored by a resumable upload of unknown length, which refuses to overwrite
    (`ifGenerationMatch=0`) and is finished by its last part. Versions are generations.
    """

    def __init__(self, settings: Settings, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._settings = settings
        self._connection = Connection(settings, limits)
        self._part_bytes = limits.part_bytes
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        place = Place(bucket=settings.bucket, endpoint=settings.endpoint)
        self._call = Caller(place, limits.patience, refusals)

    def __repr__(self) -> str:
        return f"GCSStore({self.describe()!r})"

    def describe(self) -> str:
        return f"gs://{self._settings.bucket}/{self._prefix}"

    def check(self) -> None:
        hurried = copy.copy(self)
        hurried._call = self._call.hurried(CHECK_SECONDS)
        probe.prove(hurried)

    def write(
        self,
        key: str,
        stream: Stream,
        *,
        before_commit: Callable[[], None] | None = None,
        opened: Callable[[dict[str, str]], None] | None = None,
        closed: Callable[[dict[str, str]], None] | None = None,
    ) -> StoredObject:
        if self._look(keys.checked(key)) is not None:
            raise ObjectExistsError(str(self._call.place), key)
        token = secrets.token_hex(16)
        cut = Cut(stream, lambda number: self._part_bytes)
        parts = iter(cut)
        first = next(parts)
        with self._upload(key, token, opened, closed) as upload:
            last = upload.send(cut, itertools.chain([first], parts))
            if before_commit is not None:
                before_commit()
            return self._commit(key, token, upload, last)

    @contextmanager
    def _upload(
        self,
        key: str,
        token: str,
        opened: Callable[[dict[str, str]], None] | None,
        closed: Callable[[dict[str, str]], None] | None,
    ) -> Iterator[GCSUpload]:
        """An upload that is cancelled when anything fails, and told of in any case."""
        upload = GCSUpload(self._connection, self._call, self._prefix + key, {WRITER: token})
        ids = {"key": key, "secret": upload.secret}
        try:
            if opened is not None:
                opened(ids)
            yield upload
        except BaseException:
            if upload.cancel() and closed is not None:
                closed(ids)
            raise
        if closed is not None:
            closed(ids)

    def _commit(self, key: str, token: str, upload: GCSUpload, last: Part) -> StoredObject:
        """Make the object visible, and look at what is there then.

        Where that goes unanswered or is refused the object is asked for: it is ours by the mark
        of its writer.
        """
        size = upload.size_with(last)
        try:
            told = upload.finish(last)
            found = Told(int(told["size"]), str(told["generation"]), str(told.get("crc32c", "")))
        except (StorageError, UploadGoneError) as error:
            there = self._look(key)
            if there is None or (there.metadata or {}).get(WRITER) != token:
                raise self._why(key, error, there) from None
            found = Told(int(there.size), str(there.generation), str(there.crc32c or ""))
        stored = StoredObject(key=key, size=found.size, version=found.generation)
        if stored.size != size or found.checksum not in ("", upload.checksum):
            self.delete(key, version=stored.version)
            raise StorageError(
                f"{self._call.place} kept other bytes of {key} than it was sent.",
                remedy="Try again; then look at the network between.",
            )
        return stored

    def _why(self, key: str, error: Exception, there: Blob | None) -> StorageError:
        """Why the object is not ours."""
        if there is not None:
            return ObjectExistsError(str(self._call.place), key)
        return error if isinstance(error, StorageError) else refusals.lost(self._call.place)

    @contextmanager
    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[Stream]:
        found = self._found(key)
        size = int(found.size)
        end = size if length is None else min(offset + length, size)
        whole = str(found.crc32c or "") if (offset, end) == (0, size) else ""
        reading = GCSReading(
            self._connection, self._call, found.name, str(found.generation), (offset, end), whole
        )
        try:
            yield reading
        finally:
            reading.close()

    def stat(self, key: str) -> StoredObject:
        return _stored(key, self._found(key))

    def _found(self, key: str) -> Blob:
        found = self._look(keys.checked(key))
        if found is None:
            raise MissingObjectError(str(self._call.place), key)
        return found

    def _look(self, key: str) -> Blob | None:
        """What the server tells of an object; None where there is none."""

        def look() -> Blob | None:
            blob = self._connection.blob(self._prefix + key)
            try:
                blob.reload(timeout=self._connection.quick, retry=None)
            except GoogleAPICallError as error:
                if refusals.status_of(error) != 404:
                    raise
                self._page(self._prefix + key, None, 1)  # which says if it is the bucket
                return None
            if blob.generation is None:
                raise ValueError("No object, and no refusal.")
            return blob

        return self._call(look)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        for blob in self._objects(self._prefix + keys.checked_prefix(prefix)):
            key = blob.name.removeprefix(self._prefix)
            if keys.is_good(key):
                yield StoredObject(key=key, size=int(blob.size))

    def _objects(self, beginning: str) -> Iterator[Blob]:
        token: str | None = None
        while True:
            blobs, token = self._call(partial(self._page, beginning, token, PAGE))
            yield from blobs
            if not token:
                return

    def _page(self, prefix: str, token: str | None, size: int) -> tuple[Any, str | None]:
        """Some objects whose names begin so, and where to go on."""
        found = self._connection.client.list_blobs(
            self._connection.bucket,
            prefix=prefix,
            page_token=token,
            page_size=size,
            fields="items(name,size,updated),nextPageToken",
            timeout=self._connection.quick,
            retry=None,
        )
        return [*next(found.pages, ())], found.next_page_token

    def delete(self, key: str, *, version: str = "") -> None:
        name = self._prefix + keys.checked(key)
        generation = int(version) if version.isdecimal() else None

        def delete() -> None:
            try:
                self._connection.bucket.delete_blob(
                    name, generation=generation, timeout=self._connection.quick, retry=None
                )
            except GoogleAPICallError as error:
                if refusals.status_of(error) != 404:
                    raise
                self._page(name, None, 1)

        self._call(delete)

    def undo(self, opened: Mapping[str, str]) -> None:
        if secret := opened.get("secret"):
            cancel(self._connection, self._call, self._connection.url_of(secret))

    def sweep(self, *, older_than_seconds: float) -> int:
        """Remove what checks left that were killed. Uploads that nobody finished can't be seen or
        listed; Google ends them after a week."""
        before = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
        left = [
            blob.name.removeprefix(self._prefix)
            for blob in self._objects(f"{self._prefix}{probe.BEGINNING}")
            if blob.updated <= before
        ]
        swept = [key for key in left if probe.NAME.match(key)]
        for key in swept:
            self.delete(key)
        return len(swept)


def _stored(key: str, found: Blob) -> StoredObject:
    return StoredObject(key=key, size=int(found.size), version=str(found.generation))
