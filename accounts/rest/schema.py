"""The OpenAPI document tells the problem documents that every operation can answer."""

from __future__ import annotations

from typing import Any

from accounts.rest.problems import MEDIA_TYPE

PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457)",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "description": "By field, where a body was refused",
        },
    },
    "required": ["type", "title", "status"],
}
SAYS = {
    "400": "The request is not understood; `errors` says which field and why.",
    "401": "Nobody is logged in, or the token is no longer good.",
    "403": "The role is too small for this.",
    "404": "There is no such thing, or it is another team's.",
    "415": "The body is of a type that is not taken here.",
}


def document_problems(
    result: dict[str, Any], generator: Any, request: Any, public: bool
) -> dict[str, Any]:
    """drf-spectacular postprocessing hook; what an operation says of itself stays as it is."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas.setdefault("Problem", PROBLEM)
    for path, operations in result["paths"].items():
        for operation in operations.values():
            for code in _possible(path, operation):
                operation["responses"].setdefault(code, _answer(code))
    return result


def _possible(path: str, operation: dict[str, Any]) -> list[str]:
    codes = []
    if "requestBody" in operation:
        codes += ["400", "415"]
    # `{}` among the alternatives means that the operation takes nobody, too.
    if operation.get("security") and {} not in operation["security"]:
        codes += ["401", "403"]
    if "{" in path:
        codes.append("404")
    return codes


def _answer(code: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": SAYS[code], "content": {MEDIA_TYPE: {"schema": schema}}}
