"""What a bucket holds below a prefix: objects, and uploads that were never completed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from backups.storages.calls import Caller
from backups.storages.s3 import refusals

DATED = re.compile(r"_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ")
"""Part of every backup's name."""
PAGE = 1000
"""How many entries are asked for at once."""


class Listing:
    """Looks into one bucket."""

    def __init__(self, client: Any, call: Caller, bucket: str) -> None:
        self._client, self._call, self._bucket = client, call, bucket

    def objects(self, prefix: str) -> Iterator[Mapping[str, Any]]:
        """The objects whose names begin so."""
        wanted = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": PAGE}
        while True:
            page = self._page(self._client.list_objects_v2, wanted)
            yield from page.get("Contents", ())
            if not page.get("IsTruncated"):
                return
            wanted["ContinuationToken"] = page["NextContinuationToken"]

    def idle_uploads(self, prefix: str, *, seconds: float) -> Iterator[dict[str, str]]:
        """Unfinished uploads below the prefix to which nothing came for that long, by the
        server's clock. Without a prefix the bucket may have other users: then only those whose
        names are dated as backups are."""
        for upload, now in self._uploads(prefix):
            before = now - timedelta(seconds=seconds)
            ours = bool(prefix) or DATED.search(upload["Key"])
            which = {
                "Bucket": self._bucket,
                "Key": str(upload["Key"]),
                "UploadId": str(upload["UploadId"]),
            }
            if ours and upload["Initiated"] <= before and not self._got_parts(which, before):
                yield which

    def _uploads(self, prefix: str) -> Iterator[tuple[Mapping[str, Any], datetime]]:
        wanted = {"Bucket": self._bucket, "Prefix": prefix, "MaxUploads": PAGE}
        while True:
            page = self._page(self._client.list_multipart_uploads, wanted)
            now = _server_time(page)
            yield from ((upload, now) for upload in page.get("Uploads", ()))
            if not page.get("IsTruncated") or "NextKeyMarker" not in page:
                return  # SeaweedFS does not say where to go on: what is left is for the next time
            wanted["KeyMarker"] = page["NextKeyMarker"]
            wanted["UploadIdMarker"] = page.get("NextUploadIdMarker", "")

    def _got_parts(self, which: Mapping[str, str], since: datetime) -> bool:
        """Whether a part came after that moment: then somebody is still at it."""
        wanted = {**which, "MaxParts": PAGE}
        while True:
            page = self._page(self._client.list_parts, wanted)
            if any(part["LastModified"] > since for part in page.get("Parts", ())):
                return True
            if not page.get("IsTruncated"):
                return False
            wanted["PartNumberMarker"] = page["NextPartNumberMarker"]

    def _page(self, ask: Any, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        page: Mapping[str, Any] = self._call(lambda: ask(**wanted))
        if "IsTruncated" not in page:
            raise refusals.no_server(self._call.place)
        return page


def _server_time(page: Mapping[str, Any]) -> datetime:
    told = page["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(told) if told else datetime.now(UTC)
