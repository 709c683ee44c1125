"""What a noun refuses, told as a problem document."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from django.db.models import ProtectedError
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError

from accounts.rest import ConflictError
from backups.models import RefusedError, UnfitError
from backups.pipeline.errors import PipelineError
from tasks.errors import IdempotencyConflictError

if TYPE_CHECKING:
    from django.db.models import Model


class UnreachableError(APIException):
    """422: understood and tried, but what it points at does not answer as it should.

    Not 502: proxies put their own page in place of a gateway error's body.
    """

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unreachable"
    default_detail = "This can't be reached."


def as_problem(exc: Exception) -> Exception:
    """The APIException that tells what `exc` says; others come back as they are."""
    match exc:
        case UnfitError():
            return ValidationError({exc.field: str(exc)})
        case RefusedError() | IdempotencyConflictError():
            return ConflictError(str(exc))
        case PipelineError():
            return UnreachableError(str(exc))
        case ProtectedError():
            return ConflictError(f"It is still needed by {held_by(exc.protected_objects)}.")
        case _:
            return exc


def held_by(rows: Any) -> str:
    """`2 plans (hourly, nightly) and 14 backups`: by kind, plans and the like by name."""
    kinds: Counter[type[Model]] = Counter(type(row) for row in rows)
    parts = [_kind(kind, count, rows) for kind, count in kinds.items()]
    return " and ".join(parts)


def _kind(kind: type[Model], count: int, rows: Any) -> str:
    label = kind._meta.verbose_name if count == 1 else kind._meta.verbose_name_plural
    names = sorted(row.name for row in rows if isinstance(row, kind) and hasattr(row, "name"))
    told = f" ({', '.join([*names[:5], '…'] if len(names) > 5 else names)})" if names else ""
    return f"{count} {label}{told}"
