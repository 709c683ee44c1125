"""The bytes of one object, whatever breaks on the way."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import google_crc32c
import requests
from google.api_core.exceptions import GoogleAPICallError
from urllib3.exceptions import HTTPError, ProtocolError

from backups.pipeline.errors import StorageError
from backups.storages.calls import Caller
from backups.storages.gcs import refusals
from backups.storages.gcs.connection import Connection

READ_BYTES = 1 << 20
FRUITLESS = 5
"""So often may a new connection break before its first byte."""


class GCSReading:
    """A stream of an object's bytes from `start` to `end`. A connection that breaks is replaced
    by one that begins where it broke, in the same generation of the object. What is read from
    one end to the other has to have the object's checksum."""

    def __init__(
        self,
        connection: Connection,
        call: Caller,
        name: str,
        generation: str,
        span: tuple[int, int],
        checksum: str,
    ) -> None:
        """`checksum` is empty where only a part is read."""
        self._connection, self._call, self._name = connection, call, name
        self._url = connection.content_url(name, generation)
        self._position, self._end = span
        self._wanted, self._sum = checksum, google_crc32c.Checksum()
        self._fruitless = 0
        self._answer: requests.Response | None = None
        if self._position < self._end:
            self._open()

    def __iter__(self) -> Iterator[bytes]:
        while self._position < self._end:
            block = self._next()
            if not block:
                continue
            self._position += len(block)
            self._fruitless = 0
            if self._wanted:
                self._sum.update(block)
            yield block
        self._compare()

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()

    def _compare(self) -> None:
        if self._wanted and self._wanted != base64.b64encode(self._sum.digest()).decode():
            raise StorageError(
                f"{self._call.place} gave other bytes of {self._name} than it keeps.",
                remedy="Try again; then look at the network between.",
            )

    def _next(self) -> bytes:
        assert self._answer is not None  # noqa: S101 (opened while there is something to read)
        try:
            block: bytes = self._answer.raw.read(READ_BYTES, decode_content=False)
        except (HTTPError, OSError) as error:
            return self._again(error)
        return block or self._again(ProtocolError("It ended early."))

    def _again(self, error: Exception) -> bytes:
        self._fruitless += 1
        if self._fruitless > FRUITLESS:
            broken = error if isinstance(error, HTTPError) else ProtocolError(error)
            raise refusals.explained(broken, self._call.place) from None
        self.close()
        self._open()
        return b""

    def _open(self) -> None:
        self._answer = self._call(self._get, long=True)

    def _get(self) -> requests.Response:
        headers = {
            "Range": f"bytes={self._position}-{self._end - 1}",
            "Accept-Encoding": "gzip",  # as it is stored, never unpacked on the way
        }
        try:
            answer = self._connection.send(
                "GET", self._url, headers=headers, stream=True, timeout=self._connection.patient
            )
        except GoogleAPICallError as error:
            if refusals.status_of(error) in (404, 412):
                raise self._changed() from None
            raise
        if answer.status_code != 206:
            answer.close()
            raise ValueError("It knows no ranges.")
        return answer

    def _changed(self) -> StorageError:
        return StorageError(
            f"{self._call.place} changed {self._name} while it was read.",
            remedy="Look for what else writes there.",
            permanent=True,
        )
