"""Addresses of REST resources."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter


class Router(SimpleRouter):
    """`/api/things` and `/api/things/` are the same, so that nothing answers with a redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"
