"""Which tasks are meant: the filters of the list, which bulk work takes too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import QueryDict

from accounts.rest_filters import FilterSet, MomentFilter
from tasks.models import Task
from tasks.states import Status


class YesNoField(forms.Field):
    """Anything but a clear yes or no is refused, not passed over."""

    widget = forms.TextInput

    def to_python(self, value: Any) -> bool | None:
        if value in (None, ""):
            return None
        text = str(value).lower()
        if text not in ("true", "false", "1", "0"):
            raise ValidationError("true or false")
        return text in ("true", "1")


class YesNoFilter(django_filters.BooleanFilter):  # type: ignore[misc]
    field_class = YesNoField


class IdsFilter(django_filters.BaseInFilter, django_filters.UUIDFilter):  # type: ignore[misc]
    pass


class TaskFilter(FilterSet):
    id = IdsFilter(field_name="pk", help_text="Any of these, parted by commas")
    status = django_filters.MultipleChoiceFilter(choices=Status.choices, help_text="Any of these")
    quarantined = YesNoFilter(
        field_name="quarantined_at",
        lookup_expr="isnull",
        exclude=True,
        help_text="Whether it is kept from killing more processes",
    )
    created_after = MomentFilter("created_at", "gte")
    created_before = MomentFilter("created_at", "lt")
    finished_after = MomentFilter("finished_at", "gte")
    finished_before = MomentFilter("finished_at", "lt")

    class Meta:
        model = Task
        fields: ClassVar[list[str]] = ["status", "job", "queue", "concurrency_key", "priority"]


def chosen(tasks: QuerySet[Task], filters: Mapping[str, Any]) -> QuerySet[Task]:
    """Those of them that the filters name, given as in a body of JSON. A ValidationError tells by
    field what can't be taken, unknown names among it."""
    unknown = {name: ["There is no such filter."] for name in filters.keys() - _names()}
    if unknown:
        raise ValidationError(unknown)
    query = QueryDict(mutable=True)
    for name, value in filters.items():
        many = value if isinstance(value, list) else [value]
        if not all(isinstance(one, (str, int, float)) and one != "" for one in many) or not many:
            raise ValidationError({name: ["A text, a number, true or false, or a list of such."]})
        texts = [str(one) for one in many]
        query.setlist(name, [",".join(texts)] if name == "id" else texts)
    found = TaskFilter(query, tasks)
    if not found.is_valid():
        raise ValidationError({name: list(texts) for name, texts in found.errors.items()})
    queryset: QuerySet[Task] = found.qs
    return queryset


def _names() -> frozenset[str]:
    return frozenset(TaskFilter.base_filters)
