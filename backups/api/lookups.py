"""The filters that lists of this door share."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from accounts.rest_filters import WholeNumberFilter
from tasks.states import Status


class IdFilter(WholeNumberFilter):
    """Rows that refer to the row of that id; none where there is no such id."""

    def __init__(self, field_name: str) -> None:
        super().__init__(field_name, min_value=0)


def with_status(queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
    """The rows that `StatusField` shows that status for; the method of a filter."""
    found = Q(task__status=value)
    if value in (Status.SUCCEEDED, Status.FAILED):
        ended_well = value == Status.SUCCEEDED
        found |= Q(task__isnull=True, completed_at__isnull=not ended_well)
    return queryset.filter(found)
