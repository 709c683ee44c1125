"""The web process: Django for HTTP, channels' router for WebSockets."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backdrop_site.settings")

_pages = get_asgi_application()

# Only once Django has been set up.
from django.db import connections  # noqa: E402

from backdrop_site import bodies  # noqa: E402
from tasks.api import lean  # noqa: E402
from tasks.live import streams  # noqa: E402
from tasks.live.routing import websocket_urlpatterns  # noqa: E402
from tasks.uploads import door  # noqa: E402

# Under ASGI every request runs in a thread of its own, so that a connection kept after it would
# never be used again. The live updates have threads that stay, and keep theirs.
for alias in connections:
    connections.settings[alias]["CONN_MAX_AGE"] = 0

application = ProtocolTypeRouter(
    {
        "http": door.in_front_of(
            lean.in_front_of(streams.in_front_of(bodies.bounded(_pages))),
        ),
        "websocket": URLRouter(websocket_urlpatterns),
    },
)
