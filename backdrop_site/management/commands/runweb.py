"""The web process: pages, admin, REST and WebSockets, on HOST and PORT."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fd", type=int, help="an inherited socket that listens already")

    def handle(self, *args: Any, fd: int | None, **options: Any) -> None:
        config = uvicorn.Config(
            "backdrop_site.asgi:application",
            host=settings.HOST,
            port=settings.PORT,
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,  # settings.LOGGING says it all
            timeout_graceful_shutdown=5,
        )
        sockets = None if fd is None else [socket.socket(fileno=fd)]
        uvicorn.Server(config).run(sockets=sockets)
