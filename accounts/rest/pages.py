"""How long lists are given out."""

from __future__ import annotations

from rest_framework.pagination import PageNumberPagination


class Pages(PageNumberPagination):
    """`?page=` and `?page_size=` (200 at most)."""

    page_size_query_param = "page_size"
    max_page_size = 200
