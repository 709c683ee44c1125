"""One multipart upload: begun, sent in parts that overlap, and completed or undone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from backups.pipeline.errors import StorageError
from backups.storages.calls import Caller
from backups.storages.parts import Cut, Part, Sender, Tag
from backups.storages.s3 import refusals

log = logging.getLogger(__name__)

STOP_SECONDS = 0.5
"""How long parts on their way are waited for when an upload is given up: a cancel has to be
quick, and what arrives late is undone by the second abort."""
PART_IS_KNOWN_BY = {
    "ETag",
    "ChecksumCRC32",
    "ChecksumCRC32C",
    "ChecksumCRC64NVME",
    "ChecksumSHA1",
    "ChecksumSHA256",
}
ABORT_SECONDS = 2.0
"""Patience with a server that does not answer an abort; the next sweep does it then."""


class S3Upload:
    """A multipart upload, open outside until `complete` or `abort`."""

    def __init__(
        self, client: Any, call: Caller, where: Mapping[str, str], metadata: Mapping[str, str]
    ) -> None:
        """`where` names bucket and key."""
        self._client, self._call = client, call
        created = call(lambda: client.create_multipart_upload(**where, Metadata=metadata))
        self.id = str(created["UploadId"])
        self._which = {**where, "UploadId": self.id}
        self._sender: Sender | None = None
        self._tags: dict[int, Tag] = {}

    def send(self, cut: Cut, parts: Iterator[Part]) -> int:
        """Send the parts of the stream; returns the size of all."""
        sender = self._sender = Sender(self._send, sent=cut.give_back)
        cut.between = sender.raise_failure  # not only when the next part is full
        size = 0
        for part in parts:
            sender.put(part)
            size += part.length
        self._tags = sender.finish()
        return size

    def _send(self, part: Part) -> Tag:
        def send() -> Any:
            part.seek(0)
            return self._client.upload_part(**self._which, PartNumber=part.number, Body=part)

        answer = self._call(send, long=True, stopped=part.stopped)
        # Where parts are sent with checksums (to Amazon), the completion has to name them again.
        return {name: answer[name] for name in answer if name in PART_IS_KNOWN_BY}

    def complete(self, condition: Mapping[str, str]) -> None:
        """Make the object visible. One call, without a second try."""
        parts = [{"PartNumber": number, **tag} for number, tag in self._tags.items()]
        self._client.complete_multipart_upload(
            **self._which, MultipartUpload={"Parts": parts}, **condition
        )

    def abort(self) -> bool:
        """Undo it; whether that was possible now. Never raises what the server refuses: it must
        not hide the failure that led here."""
        quiet = self._stop()
        try:
            abort(self._client, self._call, self._which)
            if not quiet:
                self._stop()
                abort(self._client, self._call, self._which)
        except StorageError as error:
            log.warning("An unfinished upload is left for the next sweep. %s", error)
            return False
        return True

    def _stop(self) -> bool:
        return self._sender is None or self._sender.stop(seconds=STOP_SECONDS)


def abort(client: Any, call: Caller, which: Mapping[str, str]) -> None:
    """Abort a multipart upload; no error where it is gone already."""

    def tell() -> None:
        try:
            client.abort_multipart_upload(**which)
        except ClientError as error:
            if refusals.code_of(error) != "NoSuchUpload":
                raise

    call.hurried(ABORT_SECONDS)(tell)
