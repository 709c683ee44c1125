"""What a caller may pass to a job, held to the job's schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, validators

from tasks.registry import Job
from tasks.uploads.refusals import UploadError

_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
"""To JSON Schema 3.0 is a whole number; to what jobs call with it, it isn't."""


def faults(job: Job, options: Mapping[str, Any]) -> dict[str, list[str]]:
    """By the option's name, what is wrong with it; a job without a schema takes none."""
    schema = {"type": "object", "additionalProperties": False, **job.options}
    found: dict[str, list[str]] = {}
    for error in _Validator(schema).iter_errors(dict(options)):
        name = ".".join(["options", *map(str, error.absolute_path)])
        found.setdefault(name, []).append(error.message)
    return found


def check(job: Job, options: Mapping[str, Any]) -> None:
    """Raises UploadError (400) with all that is wrong in one sentence."""
    wrong = faults(job, options)
    if wrong:
        told = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in wrong.items())
        raise UploadError(400, f"The options don't fit {job.name}: {told}")
