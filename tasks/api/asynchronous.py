"""DRF views whose handlers are coroutines, for those that wait without holding anything."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from rest_framework.response import Response
from rest_framework.views import APIView


class AsyncView(APIView):
    """An APIView with `async def get`, …: DRF's own dispatch, with the database parts in a thread.

    Django sees that the handlers are coroutines and calls the view as one.
    """

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:  # type: ignore[override]
        self.args = args
        self.kwargs = kwargs
        self.headers = self.default_response_headers
        self.request = asked = self.initialize_request(request, *args, **kwargs)
        try:
            await sync_to_async(self.initial)(asked, *args, **kwargs)
            known = asked.method in self.allowed_methods
            name = asked.method.lower() if known and asked.method else "http_method_not_allowed"
            response = getattr(self, name)(asked, *args, **kwargs)
            if isawaitable(response):  # all but DRF's own `options`
                response = await response
        except Exception as error:  # every one: that is where problem documents come from
            response = self.handle_exception(error)
        self.response = self.finalize_response(asked, response, *args, **kwargs)
        return self.response
