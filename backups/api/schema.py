"""Says in the OpenAPI document what every operation here can answer besides its success."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key again answers what it started before instead of starting another.",
)
LOCATION = OpenApiParameter(
    "Location",
    OpenApiTypes.URI,
    OpenApiParameter.HEADER,
    description="Where what was started can be followed.",
    response=[200, 202],
)

Problem = inline_serializer(
    "Problem",
    {
        "type": serializers.CharField(),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "detail": serializers.CharField(required=False),
        "errors": serializers.DictField(
            child=serializers.ListField(child=serializers.CharField()),
            required=False,
            help_text="By field, where the request was not understood",
        ),
    },
)

SAYS = {
    400: "The request is not understood; `errors` says which field and why.",
    401: "Nobody is logged in.",
    403: "The role of the caller is too small.",
    404: "There is no such thing, or it is another team's.",
    409: "It makes no sense in the present state; `detail` says why and what to do.",
    422: "It was tried and did not answer as it should; `detail` says why and what to do.",
}


class ProblemSchema(AutoSchema):
    """Adds the problem documents of an operation: by method, and by name in `conflicts`."""

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        for code in sorted(self._problems() - {int(known) for known in bodies}):
            answer = OpenApiResponse(Problem, SAYS[code])
            body: Callable[..., dict[str, Any]] = self._get_response_for_code
            bodies[str(code)] = body(answer, str(code), ["application/problem+json"], direction)
        return bodies

    def _problems(self) -> set[int]:
        view, action = self.view, getattr(self.view, "action", "")
        codes = {401}
        if action == "list" or self.method in {"POST", "PUT", "PATCH"}:
            codes.add(400)
        if self.method != "GET":
            codes.add(403)
        if "{" in self.path:
            codes.add(404)
        if action in getattr(view, "conflicting", ()):
            codes.add(409)
        if action == "check":
            codes.add(422)
        return codes
