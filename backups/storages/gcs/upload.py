"""One resumable upload: begun, sent part after part, and finished or cancelled."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import google_crc32c
import requests
from google.api_core.exceptions import GoogleAPICallError
from urllib3.exceptions import ProtocolError

from backups.pipeline.errors import StorageError
from backups.storages.calls import Caller
from backups.storages.gcs import refusals
from backups.storages.gcs.connection import Connection
from backups.storages.gcs.refusals import GONE, UploadGoneError
from backups.storages.parts import MIB, Cut, Part, Sender, Tag

log = logging.getLogger(__name__)

STOP_SECONDS = 0.5
"""How long a part on its way is waited for when an upload is given up: a cancel has to be quick,
and what arrives late is refused by then."""
CANCEL_SECONDS = 2.0
"""Patience with a server that does not answer a cancel."""
_KEPT = re.compile(r"bytes=0-(\d+)\Z")
_ENDED = (400, 412, *GONE)
"""What is answered where there is nothing left to cancel."""


class GCSUpload:
    """A resumable upload, open outside until `finish` or `cancel`.

    One part is on its way while the next is filled: a resumable upload takes its bytes in order.
    After a broken connection the server is asked how much it has, and gets the rest.
    """

    def __init__(
        self, connection: Connection, call: Caller, name: str, metadata: Mapping[str, str]
    ) -> None:
        self._connection, self._call = connection, call
        self._url = call(lambda: self._begin(name, metadata))
        self._sender: Sender | None = None
        self._sum = google_crc32c.Checksum()
        self._start = 0  # of the part in hand
        self._kept = 0  # how much the server is known to have
        self._unsure = False
        self._whole: Mapping[str, Any] | None = None  # what is told of the object in the end

    def _begin(self, name: str, metadata: Mapping[str, str]) -> str:
        blob = self._connection.blob(name)
        blob.metadata = metadata
        url: str = blob.create_resumable_upload_session(
            content_type="application/octet-stream",
            if_generation_match=0,
            checksum=None,
            retry=None,
            timeout=self._connection.quick,
        )
        return url

    @property
    def secret(self) -> str:
        """What is needed to cancel it, and enough to write to it: to be kept as a secret is."""
        parts = urlsplit(self._url)
        return f"{parts.path}?{parts.query}"

    @property
    def checksum(self) -> str:
        """The crc32c of all that was sent, as Google writes it."""
        return base64.b64encode(self._sum.digest()).decode()

    def send(self, cut: Cut, parts: Iterator[Part]) -> Part:
        """Send all parts but the last, which is returned."""
        sender = self._sender = Sender(self._send, sent=cut.give_back, parallel=1)
        cut.between = sender.raise_failure  # not only when the next part is full
        for part in parts:
            if part.last:
                sender.finish()
                return part
            sender.put(part)
        raise AssertionError("The last part is marked.")

    def _send(self, part: Part) -> Tag:
        self._take(part)
        end = self._start + part.length

        def send() -> None:
            while self._known() < end:
                self._put(part, f"{self._kept}-{end - 1}/*", {})

        try:
            self._call(send, long=True, stopped=part.stopped)
        except UploadGoneError:
            raise refusals.lost(self._call.place) from None
        self._start = end
        return {}

    def size_with(self, last: Part) -> int:
        """How large the object is that this part ends."""
        return self._start + last.length

    def finish(self, last: Part) -> Mapping[str, Any]:
        """Make the object visible with its last part; what the server tells of it.

        Raises UploadGoneError where the server knows no such upload: then it may have worked.
        """
        self._take(last)
        size = self.size_with(last)
        digest = {"x-goog-hash": f"crc32c={self.checksum}"}

        def finish() -> Mapping[str, Any]:
            kept = self._known()
            if self._whole is None:
                self._put(last, f"{kept}-{size - 1}/{size}" if kept < size else f"*/{size}", digest)
            if self._whole is None:
                raise ProtocolError("It was not all kept.")
            return self._whole

        return self._call(finish, long=True)

    def _take(self, part: Part) -> None:
        """Count a part in; a piece at a time, since the checksum wants bytes of its own."""
        view = memoryview(part.buffer)[: part.length]
        for at in range(0, part.length, MIB):
            self._sum.update(bytes(view[at : at + MIB]))

    def _known(self) -> int:
        """How much the server has; it is asked where that is not sure."""
        if self._unsure:
            asked = {"Content-Range": "bytes */*"}
            self._hear(self._request(b"", asked, self._connection.quick))
        return self._kept

    def _put(self, part: Part, span: str, more: Mapping[str, str]) -> None:
        before, self._unsure = self._kept, True
        part.seek(before - self._start)
        headers = {"Content-Range": f"bytes {span}", **more}
        self._hear(self._request(part, headers, self._connection.patient))
        if self._whole is None and self._kept <= before:
            raise ProtocolError("Nothing of it was kept.")

    def _request(
        self, body: Any, headers: Mapping[str, str], timeout: tuple[float, float]
    ) -> requests.Response:
        try:
            return self._connection.send(
                "PUT", self._url, data=body, headers=headers, timeout=timeout
            )
        except GoogleAPICallError as error:
            if refusals.status_of(error) in GONE:
                raise UploadGoneError from None
            raise

    def _hear(self, answer: requests.Response) -> None:
        """Take in what the server says it has."""
        if answer.status_code == 308:
            found = _KEPT.match(answer.headers.get("Range", ""))
            kept = int(found[1]) + 1 if found else 0
            if kept < self._start:
                raise refusals.lost(self._call.place)  # what is no longer in hand
            self._kept = kept
        else:
            self._whole = answer.json()
        self._unsure = False

    def cancel(self) -> bool:
        """Undo it; whether that was possible now. Never raises what the server refuses: it must
        not hide the failure that led here."""
        if self._sender is not None:
            self._sender.stop(seconds=STOP_SECONDS)
        try:
            cancel(self._connection, self._call, self._url)
        except StorageError as error:
            log.warning("An unfinished upload is left to Google, which ends it. %s", error)
            return False
        return True


def cancel(connection: Connection, call: Caller, url: str) -> None:
    """Cancel a resumable upload; no error where it is gone already."""

    def tell() -> None:
        try:
            connection.send("DELETE", url, timeout=connection.quick)
        except GoogleAPICallError as error:
            if refusals.status_of(error) not in _ENDED:
                raise

    call.hurried(CANCEL_SECONDS)(tell)
