"""`POST /task/request`: ask for a task, get the address its file is sent to."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.rest import ConflictError
from accounts.rest.problems import MEDIA_TYPE
from tasks.errors import IdempotencyConflictError, UnknownJobError
from tasks.live import report
from tasks.models import Upload
from tasks.states import Status
from tasks.uploads import capability, creating, direct, files, options, sessions
from tasks.uploads.refusals import UploadError

KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key and body again answer the same task (200), another body 409",
)
LONGEST_KEY = 200


class RequestSerializer(serializers.Serializer[Any]):
    """What is asked for."""

    job = serializers.CharField(max_length=100)
    filename = serializers.CharField(max_length=255, required=False, default="")
    size = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=2**63 - 1,
        help_text="Bytes; the file must have just so many",
    )
    sha256 = serializers.RegexField(
        r"\A([0-9a-fA-F]{64})?\Z", required=False, default="", help_text="The file must have it"
    )
    options = serializers.DictField(required=False, default=dict, help_text="By the job's schema")
    direct = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Have the file sent to S3 itself, in `parts`; where files are kept there",
    )
    max_attempts = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=100
    )
    run_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Not before this moment"
    )
    priority = serializers.IntegerField(
        required=False, default=0, min_value=-100, max_value=100, help_text="Higher runs first"
    )


class PartSerializer(serializers.Serializer[Any]):
    """Where to PUT some of the file: these bytes alone, with no other header."""

    number = serializers.IntegerField()
    url = serializers.URLField(help_text="A secret, until `upload_expires_at`")
    offset = serializers.IntegerField()
    length = serializers.IntegerField()


class AcceptedSerializer(serializers.Serializer[Any]):
    """Where to send the file, and where to ask what becomes of it."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.choices)
    upload_url = serializers.URLField(help_text="A secret: who has it may send the file")
    upload_expires_at = serializers.DateTimeField()
    parts = PartSerializer(many=True, required=False, help_text="Where it was asked for `direct`")
    complete_url = serializers.URLField(
        required=False, help_text="POST there when all parts are sent; a secret too"
    )
    status_url = serializers.URLField()
    cancel_url = serializers.URLField()
    result_url = serializers.URLField()


class RequestView(APIView):
    @extend_schema(
        operation_id="task_request",
        parameters=[KEY],
        request=RequestSerializer,
        responses={
            201: AcceptedSerializer,
            200: OpenApiResponse(AcceptedSerializer, "That key asked for this task before."),
            (409, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.OBJECT, "Another body with that key."),
            (403, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.OBJECT, "You may send no files."),
            (413, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.OBJECT, "Over a limit or quota."),
            (415, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.OBJECT, "It takes no type of yours."),
            (429, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.OBJECT, "Too many open uploads."),
        },
    )
    def post(self, request: Request) -> Response:
        """Ask for a task that begins when its file has arrived."""
        asked = RequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        if asked.validated_data["direct"]:
            _refuse_indirect(asked.validated_data["size"])
        upload = _ask(cast("User", request.user), {**asked.validated_data, "key": _key(request)})
        fresh = upload.task is not None and upload.task.fresh
        told = _told(request, upload)
        if asked.validated_data["direct"] and not upload.complete:
            told |= _told_parts(request, upload)
        return Response(told, status=201 if fresh else 200)


def _ask(user: User, asked: dict[str, Any]) -> Upload:
    try:
        job = sessions.job_with_intake(asked["job"])
        if faults := options.faults(job, asked["options"]):
            raise ValidationError(faults)
        return sessions.ask(
            job=job.name,
            team=creating.team_of(user),
            owner=user,
            filename=asked["filename"],
            size=asked["size"],
            sha256=asked["sha256"],
            options=asked["options"],
            max_attempts=asked["max_attempts"],
            run_at=asked["run_at"],
            priority=asked["priority"],
            idempotency_key=asked["key"],
        )
    except UnknownJobError as error:
        raise ValidationError({"job": [str(error)]}) from None
    except IdempotencyConflictError as error:
        raise ConflictError(str(error)) from None
    except UploadError as error:
        raise _Refusal(error) from None


class _Refusal(APIException):
    """An upload's refusal as DRF answers it."""

    def __init__(self, error: UploadError) -> None:
        super().__init__(error.sentence)
        self.status_code = error.status
        self.wait = float(error.headers["Retry-After"]) if "Retry-After" in error.headers else None


def _refuse_indirect(size: int | None) -> None:
    if not files.is_s3():
        raise ValidationError({"direct": ["Files are not kept in S3 here."]})
    if not size:
        raise ValidationError({"size": ["With `direct` it must be known, and not be 0."]})


def _told_parts(request: Request, upload: Upload) -> dict[str, Any]:
    complete_url = request.build_absolute_uri(capability.path_of(upload.pk) + direct.COMPLETE)
    try:
        parts = [asdict(part) for part in direct.parts_of(upload)]
    except UploadError as error:
        raise _Refusal(error) from None
    return {"parts": parts, "complete_url": complete_url}


def _key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > LONGEST_KEY:
        raise ValidationError({"Idempotency-Key": f"At most {LONGEST_KEY} characters."})
    return key or None


def _told(request: Request, upload: Upload) -> dict[str, Any]:
    task = upload.task
    assert task is not None  # noqa: S101 - `ask` made it
    here = request.build_absolute_uri
    return {
        "id": task.pk,
        "status": task.status,
        "upload_url": here(capability.path_of(upload.pk)),
        "upload_expires_at": upload.expires_at,
        "status_url": here(f"/task/status/{task.pk}"),
        "cancel_url": here(f"/task/cancel/{task.pk}"),
        "result_url": here(report.result_url(task.pk)),
    }
