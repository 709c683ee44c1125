"""The OpenAPI document, and the operations it names."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")


class Operation(NamedTuple):
    method: str
    path: str

    @property
    def label(self) -> str:
        return f"{self.method} {self.path}"


@cache
def document() -> dict[str, Any]:
    """As `/api/schema/` gives it to everybody."""
    told = SchemaGenerator().get_schema(request=None, public=True)
    return json.loads(OpenApiJsonRenderer().render(told))


def operations() -> list[Operation]:
    return [
        Operation(method.upper(), path)
        for path, told in document()["paths"].items()
        for method in told
        if method in METHODS
    ]
