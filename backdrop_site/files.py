"""Static files in front of everything, without making what is behind them synchronous.

Whitenoise's own middleware is synchronous, so under ASGI Django would run all that is behind it,
coroutines too, in a thread that is blocked for as long as a request takes: one for each that
waits for news of a task.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware:
    """Answers with a static file where the path is one's."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._files = WhiteNoiseMiddleware(get_response)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._acall(request)
        file = self._find(request)
        return self._serve(file, request) if file else self.get_response(request)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        file = self._find(request)
        if file:
            return await sync_to_async(self._serve)(file, request)
        answer: HttpResponseBase = await self.get_response(request)
        return answer

    def _find(self, request: HttpRequest) -> Any:
        if self._files.autorefresh:
            return self._files.find_file(request.path_info)
        return self._files.files.get(request.path_info)

    def _serve(self, file: Any, request: HttpRequest) -> HttpResponse:
        """The whole file at once: they are small, and Django would read a stream at once too."""
        found = file.get_response(request.method, request.META)
        with found.file or BytesIO() as content:  # none for 304 and HEAD
            body = content.read()
        answer = HttpResponse(body, status=int(found.status))
        del answer["Content-Type"]
        for name, value in found.headers:
            answer[name] = value
        return answer
