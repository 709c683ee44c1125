"""`/task/upload/…` in the API's description.

The bytes themselves never get here: `tasks.uploads.door` stands in front of Django, and who serves
without it is told so.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest.problems import MEDIA_TYPE, problem
from tasks.api.serializers import StatusSerializer

TUS = "application/offset+octet-stream"
BYTES = {TUS: OpenApiTypes.BINARY}


def _header(name: str, text: str, *, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(
        name, OpenApiTypes.STR, OpenApiParameter.HEADER, required=required, description=text
    )


def _problem(text: str) -> OpenApiResponse:
    return OpenApiResponse(OpenApiTypes.OBJECT, text)


VERSION = _header("Tus-Resumable", "1.0.0", required=True)
OFFSET = _header("Upload-Offset", "The number of the first byte that is sent", required=True)
LENGTH = _header("Upload-Length", "Bytes of the whole file")
CHECKSUM = _header("Upload-Checksum", "sha1, sha256, crc32 or md5, and the digest in base64")
METADATA = _header("Upload-Metadata", "job, filename, options (JSON), sha256; values in base64")
DEFER = _header("Upload-Defer-Length", "1: the length is told later")
CONCAT = _header("Upload-Concat", "`partial`, or `final;` and the addresses of the parts")

GONE = {
    (404, MEDIA_TYPE): _problem("There is no such upload."),
    (410, MEDIA_TYPE): _problem("It was cancelled, expired or removed; the detail says when."),
}
REFUSED = {
    **GONE,
    (408, MEDIA_TYPE): _problem("Nothing came for a while; what came is kept."),
    (409, MEDIA_TYPE): _problem("It is complete, or another request has gone on with it."),
    (413, MEDIA_TYPE): _problem("More bytes than are taken."),
    (415, MEDIA_TYPE): _problem("Not the type of file that the job takes."),
    (422, MEDIA_TYPE): _problem("Size or checksum differs from what was announced."),
    (507, MEDIA_TYPE): _problem("There is no room for it."),
}
WRONG_VERSION = {(412, MEDIA_TYPE): _problem("Another version of tus.")}


class _InFront(APIView):
    """Answers only where the door is missing."""

    authentication_classes = ()
    permission_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Nothing is looked at."""

    def _missing(self) -> Response:
        told = "Uploads need the ASGI application: serve with `runweb`."
        return Response(problem(501, told), status=501, content_type=MEDIA_TYPE)


class UploadsView(_InFront):
    @extend_schema(
        operation_id="task_upload_create",
        parameters=[VERSION, LENGTH, DEFER, METADATA, CONCAT, CHECKSUM],
        request=BYTES,
        responses={
            201: OpenApiResponse(description="`Location` is its address."),
            (400, MEDIA_TYPE): _problem("A header can't be understood."),
            (403, MEDIA_TYPE): _problem("Your role may not run tasks, or you may send no files."),
            (413, MEDIA_TYPE): _problem("Over a limit or quota."),
            (415, MEDIA_TYPE): _problem("The job takes no type of file that you may send."),
            (429, MEDIA_TYPE): _problem("Too many open uploads."),
            **WRONG_VERSION,
        },
    )
    def post(self, request: Request) -> Response:
        """Make an upload with tus, perhaps with its first bytes; it makes the task too."""
        return self._missing()


class UploadView(_InFront):
    @extend_schema(
        operation_id="task_upload",
        auth=[],
        request={
            "application/octet-stream": OpenApiTypes.BINARY,
            "multipart/form-data": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            },
        },
        responses={202: StatusSerializer, **REFUSED},
    )
    def post(self, request: Request, upload_id: str) -> Response:
        """Send the whole file. The address is all that is needed: it is a secret."""
        return self._missing()

    @extend_schema(
        operation_id="task_upload_more",
        auth=[],
        parameters=[VERSION, OFFSET, LENGTH, CHECKSUM],
        request=BYTES,
        responses={
            204: OpenApiResponse(description="`Upload-Offset` says how much has arrived."),
            (400, MEDIA_TYPE): _problem("A header can't be understood."),
            (403, MEDIA_TYPE): _problem("It takes no more bytes."),
            **WRONG_VERSION,
            **REFUSED,
            (460, MEDIA_TYPE): _problem("The checksum differs; the bytes were dropped."),
        },
    )
    def patch(self, request: Request, upload_id: str) -> Response:
        """Send some more of the file with tus."""
        return self._missing()

    @extend_schema(
        operation_id="task_upload_end",
        auth=[],
        parameters=[VERSION],
        responses={204: OpenApiResponse(description="It is gone."), **WRONG_VERSION, **GONE},
    )
    def delete(self, request: Request, upload_id: str) -> Response:
        """Give it up: the task is cancelled, the bytes are removed."""
        return self._missing()


class UploadCompleteView(_InFront):
    @extend_schema(
        operation_id="task_upload_complete",
        auth=[],
        request=None,
        responses={
            202: StatusSerializer,
            **GONE,
            (409, MEDIA_TYPE): _problem("It is complete, or isn't sent to S3."),
            (415, MEDIA_TYPE): _problem("Not the type of file that the job takes; it is removed."),
            (422, MEDIA_TYPE): _problem("A part is missing or has another size: send it again."),
            (503, MEDIA_TYPE): _problem("S3 doesn't answer as it should."),
        },
    )
    def post(self, request: Request, upload_id: str) -> Response:
        """All parts have been sent to S3 itself. The address is all that is needed."""
        return self._missing()
