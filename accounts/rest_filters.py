"""How lists are filtered, at every REST door: what fits no column is refused, never asked for."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet


@extend_schema_field(OpenApiTypes.INT)
class WholeNumberFilter(filters.Filter):  # type: ignore[misc]
    """Decimals, which django-filter takes, are short to write and may take hours to reckon with."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **more: Any) -> None:
        bounds = {
            "min_value": -models.BigIntegerField.MAX_BIGINT - 1,
            "max_value": models.BigIntegerField.MAX_BIGINT,
        }
        super().__init__(*args, **{**bounds, **more})


class MomentField(IsoDateTimeField):  # type: ignore[misc]
    """Near the ends of time there are moments that are none in another zone."""

    def to_python(self, value: Any) -> datetime | None:
        found: datetime | None = super().to_python(value)
        try:
            return found and found.astimezone(UTC)
        except OverflowError:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentFilter(filters.IsoDateTimeFilter):  # type: ignore[misc]
    field_class = MomentField


class FilterSet(filters.FilterSet):  # type: ignore[misc]
    """Base of every set of filters."""

    FILTER_DEFAULTS: ClassVar[dict[Any, Any]] = {
        **filters.FilterSet.FILTER_DEFAULTS,
        models.DateTimeField: {"filter_class": MomentFilter},
        models.IntegerField: {"filter_class": WholeNumberFilter},
        models.AutoField: {"filter_class": WholeNumberFilter},
        models.SmallIntegerField: {"filter_class": WholeNumberFilter},
        models.PositiveIntegerField: {"filter_class": WholeNumberFilter},
        models.PositiveSmallIntegerField: {"filter_class": WholeNumberFilter},
    }


class ListFilter(filters.DjangoFilterBackend):  # type: ignore[misc]
    """For lists alone: a row that is named by its id is that row, whatever else is asked."""

    filterset_base = FilterSet

    def filter_queryset(self, request: Any, queryset: QuerySet[Any], view: Any) -> Any:
        own = getattr(view, "queryset", None)
        if getattr(view, "detail", False) and own is not None and queryset.model is own.model:
            return queryset
        return super().filter_queryset(request, queryset, view)
