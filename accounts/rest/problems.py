"""Problem documents (RFC 9457) for everything that goes wrong behind a REST door.

Two halves: `problem_details` is DRF's exception handler; `ProblemMiddleware` does the same for
answers that Django itself or a plain view gave under the paths of a REST door.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DatabaseError, InterfaceError
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404, JsonResponse
from django.utils.deprecation import MiddlewareMixin
from rest_framework import exceptions
from rest_framework.fields import get_error_detail
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import set_rollback

from accounts.errors import TooManyTriesError
from accounts.outages import Outage, outage

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

MEDIA_TYPE = "application/problem+json"
REST_PATHS = ("/api/", "/auth/", "/task/", "/healthz", "/readyz", "/statusz")
WITHOUT_FIELD = "non_field_errors"

logger = logging.getLogger(__name__)


class ConflictError(exceptions.APIException):
    """409: it makes no sense in the present state."""

    status_code = HTTPStatus.CONFLICT
    default_code = "conflict"
    default_detail = "This makes no sense in the present state."


class TooLargeError(exceptions.APIException):
    """413: nothing that is read as a whole is so large."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = "The body is larger than is taken here."


class OutageError(exceptions.APIException):
    """503 or 507: our own database can't be used just now."""

    def __init__(self, found: Outage) -> None:
        super().__init__(found.told)
        self.status_code = found.status
        self.wait = found.retry_after


def problem(
    status: int,
    detail: str = "",
    errors: Mapping[str, list[str]] | None = None,
    *,
    title: str | None = None,
) -> dict[str, Any]:
    """The document itself; its title is the status's own phrase, as RFC 9457 wants it.

    A status that HTTP doesn't know needs a `title`.
    """
    title = title or HTTPStatus(status).phrase
    detail = detail or _DETAILS.get(status, f"{title}.")
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if errors:
        document["errors"] = errors
    return document


def problem_response(
    status: int, detail: str = "", headers: Mapping[str, str] | None = None
) -> JsonResponse:
    """For views outside DRF."""
    return JsonResponse(
        problem(status, detail), status=status, content_type=MEDIA_TYPE, headers=headers
    )


def problem_details(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler; None (and so a 500) for what nobody expected."""
    known = _as_api_exception(exc)
    if known is None:
        return None
    set_rollback()
    document = problem(known.status_code, _sentence(known), _errors(known))
    _answer_in_json(context.get("request"))
    return Response(
        document, status=known.status_code, headers=_headers(known), content_type=MEDIA_TYPE
    )


class ProblemMiddleware(MiddlewareMixin):
    """Turns Django's own error pages into problem documents under the paths of a REST door."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if response.status_code < 400 or not request.path_info.startswith(REST_PATHS):
            return response
        if "json" in response.headers.get("Content-Type", ""):
            return response
        answer = problem_response(response.status_code)
        for name, value in response.headers.items():
            if not name.lower().startswith("content-"):
                answer.headers[name] = value
        answer.cookies = response.cookies
        return answer

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponseBase | None:
        """Whoever asks for a login in some door of their own gets a 429, not a 500."""
        if not isinstance(exception, TooManyTriesError):
            return None
        headers = {"Retry-After": str(exception.retry_after)}
        return problem_response(429, str(exception), headers)


_DETAILS = {
    400: "The request could not be understood.",
    403: "You may not do this.",
    404: "There is nothing at this address.",
    405: "This address takes other methods.",
    500: "Something went wrong here. It has been written to the log.",
}


def _as_api_exception(exc: Exception) -> exceptions.APIException | None:
    match exc:
        case exceptions.APIException():
            return exc
        case Http404():
            return exceptions.NotFound(*exc.args)
        case DjangoPermissionDenied():
            return exceptions.PermissionDenied(*exc.args)
        case DjangoValidationError():
            return exceptions.ValidationError(get_error_detail(exc))
        case TooManyTriesError():
            return _throttled(exc)
        case RequestDataTooBig():
            return TooLargeError()
        case ProtectedError() | RestrictedError():
            return ConflictError("Others still need it; remove or change those first.")
        case DatabaseError() | InterfaceError():
            return _unavailable(exc)
        case _:
            return None


def _unavailable(exc: Exception) -> exceptions.APIException | None:
    found = outage(exc)
    if found is None:
        return None
    logger.error("%s: %s", type(exc).__name__, found.told)
    return OutageError(found)


def _throttled(exc: TooManyTriesError) -> exceptions.Throttled:
    throttled = exceptions.Throttled(wait=exc.retry_after)
    throttled.detail = exceptions.ErrorDetail(str(exc), throttled.default_code)
    return throttled


def _sentence(exc: exceptions.APIException) -> str:
    if isinstance(exc, exceptions.ValidationError):
        named = _errors(exc) or {}
        return " ".join(named.get(WITHOUT_FIELD, [])) or "Some fields can't be taken as they are."
    if isinstance(exc.detail, Mapping):  # simplejwt's, with its own "detail" among others
        return str(exc.detail.get("detail", exc.default_detail))
    return str(exc.detail)


def _errors(exc: exceptions.APIException) -> dict[str, list[str]] | None:
    """`{"name": […], "options.level": […]}` of a refused body."""
    if not isinstance(exc, exceptions.ValidationError):
        return None
    found: dict[str, list[str]] = {}
    for path, text in _leaves(exc.detail, ()):
        found.setdefault(".".join(path) or WITHOUT_FIELD, []).append(text)
    return found


def _leaves(detail: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _leaves(inner, path if name == WITHOUT_FIELD else (*path, str(name)))
    elif isinstance(detail, (list, tuple)):
        for position, inner in enumerate(detail):
            deeper = isinstance(inner, (Mapping, list, tuple))
            yield from _leaves(inner, (*path, str(position)) if deeper else path)
    else:
        yield path, str(detail)


def _headers(exc: exceptions.APIException) -> dict[str, str]:
    headers = {}
    challenge = getattr(exc, "auth_header", None)
    if challenge:
        headers["WWW-Authenticate"] = challenge
    wait = getattr(exc, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return headers


def _answer_in_json(request: Any) -> None:
    """A refusal is JSON even where the request had asked for YAML or a file."""
    if request is not None:
        request.accepted_renderer = JSONRenderer()
        request.accepted_media_type = JSONRenderer.media_type
