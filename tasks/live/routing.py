"""The addresses of the sockets."""

from __future__ import annotations

from typing import Any, cast

from django.urls import URLPattern, path, re_path

from tasks.live.consumers import NoSocket, TaskSocket, TasksSocket
from tasks.live.socket import Socket


def _serve(socket: type[Socket]) -> Any:
    """What channels' router takes; Django's `path` is typed for views."""
    return cast("Any", socket.serve)


websocket_urlpatterns: list[URLPattern] = [
    path("ws/tasks", _serve(TasksSocket)),
    path("ws/tasks/<uuid:pk>", _serve(TaskSocket)),
    re_path(r"", _serve(NoSocket)),
]
