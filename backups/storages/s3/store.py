"""Objects in a bucket: Amazon S3, or anything that speaks its protocol."""

from __future__ import annotations

import copy
import itertools
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from storages.backends.s3 import S3Storage

from backups.pipeline.errors import MissingObjectError, ObjectExistsError, StorageError
from backups.pipeline.ports import StoredObject, Stream
from backups.storages import keys, probe
from backups.storages.calls import Caller
from backups.storages.parts import Cut, Part
from backups.storages.s3 import refusals
from backups.storages.s3.clients import Clients, Limits
from backups.storages.s3.listing import Listing
from backups.storages.s3.reading import S3Reading
from backups.storages.s3.refusals import Place
from backups.storages.s3.upload import S3Upload, abort

WRITER = "backdrop-writer"
"""Metadata by which a writer knows its own object when the answer to its last call got lost."""
CHECK_SECONDS = 3.0
"""Patience of a check, for which a person waits."""


class S3Store:
    """An ObjectStore in the bucket and under the location of a django-storages S3Storage.

    A stream that fits into one part is stored by one request, a longer one by a multipart upload
    with several parts on the way. Both refuse to overwrite (`If-None-Match: *`; where a server
    does not know that, by looking just before). When a request that makes an object visible goes
    unanswered, the object is asked for: if it is there it was written, by the mark of its writer.
    """

    def __init__(self, storage: S3Storage, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._clients = Clients(storage, limits)
        self._part_size = limits.part_size
        location = str(storage.location or "").strip("/")
        self._prefix = f"{location}/" if location else ""
        self._bucket = str(storage.bucket_name)
        place = Place(bucket=self._bucket, endpoint=str(storage.endpoint_url or ""))
        self._call = Caller(place, limits.patience, refusals)
        self._knows_conditions = True

    def __repr__(self) -> str:
        return f"S3Store({self.describe()!r})"

    def describe(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

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
        where = self._where(keys.checked(key))
        if self._head(where) is not None:
            raise ObjectExistsError(str(self._call.place), key)
        token = secrets.token_hex(16)
        cut = Cut(stream, self._part_size)
        parts = iter(cut)
        first = next(parts)
        if first.last:
            self._ready(before_commit)
            return self._commit(key, token, first.length, self._put(where, first, token))
        with self._upload(key, token, opened, closed) as upload:
            size = upload.send(cut, itertools.chain([first], parts))
            self._ready(before_commit)
            return self._commit(key, token, size, upload.complete)

    @contextmanager
    def _upload(
        self,
        key: str,
        token: str,
        opened: Callable[[dict[str, str]], None] | None,
        closed: Callable[[dict[str, str]], None] | None,
    ) -> Iterator[S3Upload]:
        """A multipart upload that is aborted when anything fails, and told of in any case."""
        upload = S3Upload(self._clients.patient, self._call, self._where(key), {WRITER: token})
        ids = {"upload_id": upload.id, "key": key}
        try:
            if opened is not None:
                opened(ids)
            yield upload
        except BaseException:
            if upload.abort() and closed is not None:
                closed(ids)
            raise
        if closed is not None:
            closed(ids)

    @staticmethod
    def _ready(before_commit: Callable[[], None] | None) -> None:
        if before_commit is not None:
            before_commit()

    def _put(
        self, where: Mapping[str, str], part: Part, token: str
    ) -> Callable[[Mapping[str, str]], None]:
        def put(condition: Mapping[str, str]) -> None:
            part.seek(0)
            self._clients.patient.put_object(
                **where, Body=part, Metadata={WRITER: token}, **condition
            )

        return put

    def _commit(
        self, key: str, token: str, size: int, act: Callable[[Mapping[str, str]], None]
    ) -> StoredObject:
        """Make the object visible by `act`, and look at what is there then."""
        failure: StorageError | None = None
        call = self._call
        try:
            call(lambda: self._unless_taken(key, act), long=True)
        except StorageError as error:
            failure, call = error, call.hurried(1.0)
        found = None
        try:
            found = self._head(self._where(key), call)
        except StorageError:
            if failure is None:
                raise
        if found is not None and found["Metadata"].get(WRITER) == token:
            return self._whole(key, size, found)
        if failure is not None:
            raise failure
        # Some servers look and write in two steps, between which another writer got in.
        raise ObjectExistsError(str(self._call.place), key)

    def _whole(self, key: str, size: int, found: Mapping[str, Any]) -> StoredObject:
        """The object as the server tells of it; removed again when its size is wrong."""
        stored = StoredObject(key=key, size=int(found["ContentLength"]), version=_version(found))
        if stored.size != size:
            self.delete(key, version=stored.version)
            raise StorageError(
                f"{self._call.place} kept {stored.size} of {size} bytes of {key}.",
                remedy="Look at the storage server.",
            )
        return stored

    def _unless_taken(self, key: str, act: Callable[[Mapping[str, str]], None]) -> None:
        try:
            act({"IfNoneMatch": "*"} if self._knows_conditions else {})
        except ClientError as error:
            code = refusals.code_of(error)
            if code in ("PreconditionFailed", "412"):
                raise ObjectExistsError(str(self._call.place), key) from None
            if code not in ("NotImplemented", "501") or not self._knows_conditions:
                raise
            self._knows_conditions = False
            if self._head(self._where(key)) is not None:
                raise ObjectExistsError(str(self._call.place), key) from None
            act({})

    @contextmanager
    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[Stream]:
        found = self._found(key)
        size = int(found["ContentLength"])
        end = size if length is None else min(offset + length, size)
        what = self._where(key)
        if version := _version(found):
            what["VersionId"] = version
        reading = S3Reading(
            self._clients.patient, self._call, what, str(found["ETag"]), offset, end
        )
        try:
            yield reading
        finally:
            reading.close()

    def stat(self, key: str) -> StoredObject:
        found = self._found(key)
        return StoredObject(key=key, size=int(found["ContentLength"]), version=_version(found))

    def _found(self, key: str) -> Mapping[str, Any]:
        found = self._head(self._where(keys.checked(key)))
        if found is None:
            raise MissingObjectError(str(self._call.place), key)
        return found

    def _head(
        self, where: Mapping[str, str], call: Caller | None = None
    ) -> Mapping[str, Any] | None:
        """What the server tells of an object; None where there is none."""

        def head() -> Mapping[str, Any] | None:
            try:
                answer: Mapping[str, Any] = self._clients.quick.head_object(**where)
            except ClientError as error:
                if refusals.status_of(error) not in (400, 403, 404):
                    raise
                # Answers to HEAD have no body to say why: a listing says it, if it is refused.
                self._clients.quick.list_objects_v2(
                    Bucket=self._bucket, Prefix=where["Key"], MaxKeys=1
                )
                if refusals.status_of(error) != 404:
                    raise
                return None
            if "ETag" not in answer:
                raise refusals.no_server(self._call.place)
            return answer

        return (call or self._call)(head)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        beginning = self._prefix + keys.checked_prefix(prefix)
        for item in self._listing().objects(beginning):
            key = item["Key"].removeprefix(self._prefix)
            if keys.is_good(key):
                yield StoredObject(key=key, size=int(item["Size"]))

    def delete(self, key: str, *, version: str = "") -> None:
        which = self._where(keys.checked(key)) | ({"VersionId": version} if version else {})
        self._call(lambda: self._clients.quick.delete_object(**which))

    def undo(self, opened: Mapping[str, str]) -> None:
        if "upload_id" in opened and "key" in opened:
            where = self._where(keys.checked(opened["key"]))
            abort(self._clients.quick, self._call, {**where, "UploadId": opened["upload_id"]})

    def sweep(self, *, older_than_seconds: float) -> int:
        uploads = list(self._listing().idle_uploads(self._prefix, seconds=older_than_seconds))
        for which in uploads:
            abort(self._clients.quick, self._call, which)
        return len(uploads) + self._sweep_probes(older_than_seconds)

    def _sweep_probes(self, seconds: float) -> int:
        """Remove what checks left that were killed."""
        before = datetime.now(UTC) - timedelta(seconds=seconds)
        found = self._listing().objects(f"{self._prefix}{probe.BEGINNING}")
        left = [
            item["Key"].removeprefix(self._prefix)
            for item in found
            if item["LastModified"] <= before
        ]
        swept = [key for key in left if probe.NAME.match(key)]
        for key in swept:
            self.delete(key)
        return len(swept)

    def _listing(self) -> Listing:
        return Listing(self._clients.quick, self._call, self._bucket)

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}


def _version(answer: Mapping[str, Any]) -> str:
    """The version in an answer; empty where the bucket keeps none."""
    version = str(answer.get("VersionId", ""))
    return "" if version == "null" else version
