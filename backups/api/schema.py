"""What the OpenAPI document says of this door beyond what its code shows by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from accounts.rest.problems import MEDIA_TYPE

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


SAYS = {
    "409": "It makes no sense in the present state; `detail` says why and what to do.",
    "422": "It was tried and did not answer as it should; `detail` says why and what to do.",
}


class DoorSchema(AutoSchema):
    """Adds the problems that an operation of this door can answer beside those of every door."""

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for code in self._problems():
            bodies.setdefault(code, {"description": SAYS[code], "content": problem})
        return bodies

    def _problems(self) -> Iterator[str]:
        action = getattr(self.view, "action", "")
        if action in getattr(self.view, "conflicting", ()):
            yield "409"
        if action == "check":
            yield "422"
