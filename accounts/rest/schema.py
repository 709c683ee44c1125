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
    "required": ["type", "title", "status", "detail"],
}
REFERENCE = {"$ref": "#/components/schemas/Problem"}
SAYS = {
    "400": "The request is not understood; `errors` says which field and why.",
    "401": "Nobody is logged in, or the token is no longer good.",
    "403": "The role is too small for this.",
    "404": "There is no such thing, or it is another team's.",
    "413": "The body is larger than is taken here.",
    "415": "The body is of a type that is not taken here.",
}
NO_PAGE = "There is no such page."


def document_problems(
    result: dict[str, Any], generator: Any, request: Any, public: bool
) -> dict[str, Any]:
    """drf-spectacular postprocessing hook; what an operation says of itself stays as it is, but
    that a problem told as just any object is one of ours."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas.setdefault("Problem", PROBLEM)
    for path, operations in result["paths"].items():
        for operation in operations.values():
            for answer in operation["responses"].values():
                _name_problem(answer)
            for code in _possible(path, operation):
                operation["responses"].setdefault(code, _answer(code, path))
    return result


def _possible(path: str, operation: dict[str, Any]) -> list[str]:
    codes: set[str] = set()
    taken = [told for told in operation.get("parameters", ()) if told["in"] != "path"]
    if taken:
        codes.add("400")
    if any(told["name"] == "page" for told in taken):
        codes.add("404")
    if "requestBody" in operation:
        codes |= {"400", "413", "415"}
    # `{}` among the alternatives means that the operation takes nobody, too.
    if operation.get("security") and {} not in operation["security"]:
        codes |= {"401", "403"}
    if "{" in path:
        codes.add("404")
    return sorted(codes)


def _name_problem(answer: dict[str, Any]) -> None:
    told = answer.get("content", {}).get(MEDIA_TYPE)
    if told is not None and told["schema"].get("type") == "object":
        told["schema"] = REFERENCE


def _answer(code: str, path: str) -> dict[str, Any]:
    says = NO_PAGE if code == "404" and "{" not in path else SAYS[code]
    return {"description": says, "content": {MEDIA_TYPE: {"schema": REFERENCE}}}
