"""The bytes of one object, whatever breaks on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError
from urllib3.exceptions import HTTPError

from backups.pipeline.errors import StorageError
from backups.storages.calls import Caller
from backups.storages.s3 import refusals

READ_BYTES = 1 << 20
FRUITLESS = 5
"""So often may a new connection break before its first byte."""


class S3Reading:
    """A stream of an object's bytes from `start` to `end`. A connection that breaks is replaced
    by one that begins where it broke; that it is the same object is seen by its tag."""

    def __init__(
        self, client: Any, call: Caller, what: Mapping[str, str], tag: str, start: int, end: int
    ) -> None:
        """`what` names bucket, key and, where there is one, version."""
        self._client, self._call, self._what, self._tag = client, call, what, tag
        self._position, self._end = start, end
        self._fruitless = 0
        self._body: Any = None
        if start < end:
            self._open()

    def __iter__(self) -> Iterator[bytes]:
        while self._position < self._end:
            block = self._next()
            if not block:
                continue
            self._position += len(block)
            self._fruitless = 0
            yield block

    def close(self) -> None:
        if self._body is not None:
            self._body.close()

    def _next(self) -> bytes:
        try:
            block: bytes = self._body.read(READ_BYTES)
        except (BotoCoreError, HTTPError, OSError) as error:
            return self._again(error)
        return block or self._again(ConnectionClosedError(endpoint_url=self._call.place.endpoint))

    def _again(self, error: Exception) -> bytes:
        self._fruitless += 1
        if self._fruitless > FRUITLESS:
            raise refusals.explained(error, self._call.place) from None
        self.close()
        self._open()
        return b""

    def _open(self) -> None:
        self._body = self._call(self._get, long=True)["Body"]

    def _get(self) -> Any:
        span = f"bytes={self._position}-{self._end - 1}"
        try:
            answer = self._client.get_object(**self._what, Range=span, IfMatch=self._tag)
        except ClientError as error:
            if refusals.code_of(error) in ("PreconditionFailed", "412", "NoSuchKey"):
                raise self._changed() from None
            raise
        if answer["ETag"] != self._tag:  # a server that knows no conditions
            raise self._changed()
        return answer

    def _changed(self) -> StorageError:
        return StorageError(
            f"{self._call.place} changed {self._what['Key']} while it was read.",
            remedy="Look for what else writes there.",
            permanent=True,
        )
