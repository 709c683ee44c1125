"""What every REST door shares: pages and problem documents (RFC 9457)."""

from __future__ import annotations

from typing import Any

from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response
from rest_framework.views import exception_handler


class Pages(PageNumberPagination):
    """`?page=` and `?page_size=` (200 at most)."""

    page_size_query_param = "page_size"
    max_page_size = 200


def problem_details(exc: Exception, context: dict[str, Any]) -> Response | None:
    return exception_handler(exc, context)
