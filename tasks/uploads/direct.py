"""Large files that are sent to S3 itself, in parts, by addresses that expire when the upload does.

We make the multipart upload, complete it and look at what has come: its size and parts, and its
type, by its first bytes. Its SHA-256 is taken when a worker fetches it, which it does anyway: so
the object is read once in all. What differs then fails the task.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tasks import clock
from tasks.models import Upload
from tasks.uploads import files, limits, refusals, sniffing
from tasks.uploads.refusals import UploadError

logger = logging.getLogger(__name__)

COMPLETE = "/complete"
"""Behind the upload's address."""
MOST_PARTS = 1000  # of some stores; S3 has ten times that
LEAST_BYTES = 16 << 20
_MEBIBYTE = 1 << 20
_LONGEST_SECONDS = 7 * 24 * 3600  # that S3 lets an address work


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some of the file, and where it is PUT."""

    number: int
    url: str
    offset: int
    length: int


def parts_of(upload: Upload) -> list[Part]:
    """Where to send the file, with fresh addresses. Raises UploadError where S3 doesn't answer."""
    seconds = int((upload.expires_at - clock.read()).total_seconds())
    with _told():
        if not upload.direct_id:
            _begin(upload)
        return [
            Part(
                number=number,
                offset=offset,
                length=length,
                url=files.s3_client().generate_presigned_url(
                    "upload_part",
                    Params={**_place(upload), "UploadId": upload.direct_id, "PartNumber": number},
                    ExpiresIn=max(1, min(seconds, _LONGEST_SECONDS)),
                ),
            )
            for number, offset, length in _plan(upload.size or 0)
        ]


def complete(upload: Upload) -> None:
    """All parts have been sent: the task goes into the queue. Raises UploadError.

    May be called again where it was cut short. Parts that are missing or wrong can be sent again
    (422); a file of a type that isn't taken is removed (415), and may be sent anew.
    """
    from tasks.uploads import sessions, writing  # they know of this module

    if upload.complete:
        raise refusals.complete(upload)
    if not upload.direct_id:
        raise UploadError(409, "This file is not sent to S3: send it to the upload's address.")
    if not sessions.take_over(upload):
        writing.refuse_late(upload)
    with _told():
        _join(upload)
        found = _look_at(upload)
    if not sessions.complete(upload, sha256="", content_type=found):
        writing.refuse_late(upload)


def abort(upload: Upload) -> None:
    """No more parts are taken, and those that came are removed; no error where there are none."""
    with suppress(files.s3_client().exceptions.NoSuchUpload):
        files.s3_client().abort_multipart_upload(**_place(upload), UploadId=upload.direct_id)


def _begin(upload: Upload) -> None:
    made = files.s3_client().create_multipart_upload(**_place(upload))["UploadId"]
    if Upload.objects.filter(pk=upload.pk, direct_id="").update(direct_id=made):
        upload.direct_id = made
        return
    files.s3_client().abort_multipart_upload(**_place(upload), UploadId=made)
    upload.refresh_from_db(fields=["direct_id"])  # the same request at the same time


def _plan(size: int) -> Iterator[tuple[int, int, int]]:
    """Number, offset and length of each part."""
    least = max(LEAST_BYTES, -(-size // MOST_PARTS))
    length = -(-least // _MEBIBYTE) * _MEBIBYTE
    for number, offset in enumerate(range(0, size, length), 1):
        yield number, offset, min(length, size - offset)


def _join(upload: Upload) -> None:
    """Make one object of the parts, if they are those that were planned."""
    try:
        came = _listed(upload)
    except files.s3_client().exceptions.NoSuchUpload:
        if _size_of(upload) == upload.size:  # an earlier try had got that far
            return
        _forget(upload)
        raise UploadError(409, "S3 has given up these parts. Ask for new addresses.") from None
    for number, offset, length in _plan(upload.size or 0):
        size = came[number]["Size"] if number in came else 0
        if size != length:
            raise UploadError(
                422, f"Part {number} (at {offset}) should have {length} bytes; {size} arrived."
            )
    chosen = [{"PartNumber": n, "ETag": came[n]["ETag"]} for n, *_ in _plan(upload.size or 0)]
    files.s3_client().complete_multipart_upload(
        **_place(upload), UploadId=upload.direct_id, MultipartUpload={"Parts": chosen}
    )


def _listed(upload: Upload) -> dict[int, Any]:
    pages = files.s3_client().get_paginator("list_parts")
    found = pages.paginate(**_place(upload), UploadId=upload.direct_id)
    return {part["PartNumber"]: part for page in found for part in page.get("Parts", ())}


def _look_at(upload: Upload) -> str:
    """Its type. What is not to be taken is removed."""
    size = _size_of(upload)
    head = files.s3_client().get_object(**_place(upload), Range=f"bytes=0-{sniffing.LOOKED_AT - 1}")
    with head["Body"] as body:
        found = sniffing.type_of(body.read(), upload.filename)
    try:
        if size != upload.size:
            raise refusals.differs("size", upload.size, f"{size} bytes")
        limits.of_upload(upload).check_type(found)
    except UploadError:
        files.remove(files.key_of(upload.pk))
        _forget(upload)
        raise
    return found


def _forget(upload: Upload) -> None:
    Upload.objects.filter(pk=upload.pk).update(direct_id="")


def _size_of(upload: Upload) -> int | None:
    from botocore.exceptions import ClientError

    try:
        return int(files.s3_client().head_object(**_place(upload))["ContentLength"])
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise


def _place(upload: Upload) -> dict[str, str]:
    return files.s3_place(files.key_of(upload.pk))


@contextmanager
def _told() -> Iterator[None]:
    """What S3 refuses or doesn't answer is ours to mend, not the sender's."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        logger.warning("S3 doesn't take an upload: %s", type(error).__name__)
        raise refusals.storage_away() from None
