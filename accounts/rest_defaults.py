"""What DRF's base classes take from the settings: how long pages are, what is answered with.

They are imported while those classes are being defined, so nothing here imports a view.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import PageNumberPagination


class Pages(PageNumberPagination):
    """`?page=` and `?page_size=` (200 at most)."""

    page_size_query_param = "page_size"
    max_page_size = 200


class LenientNegotiation(DefaultContentNegotiation):
    """Answers with what there is where nothing fits `Accept` (or `?format=`), as RFC 9110 (12.5.1)
    allows.

    Clients that fetch files or problem documents name those types only; a 406 helps nobody.
    """

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except (NotAcceptable, Http404):
            return renderers[0], renderers[0].media_type
