"""The web process: pages, admin, REST and WebSockets, on HOST and PORT."""

from __future__ import annotations

import logging
import socket
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from prometheus_client import start_http_server

from tasks import memory

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fd", type=int, help="an inherited socket that listens already")

    def handle(self, *args: Any, fd: int | None, **options: Any) -> None:
        config = uvicorn.Config(
            "backdrop_site.asgi:application",
            host=settings.HOST,
            port=settings.PORT,
            http="httptools",  # it is fast, and has the trailers of a body among the headers
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,  # settings.LOGGING says it all
            timeout_graceful_shutdown=5,
        )
        self._serve_metrics()
        memory.reuse_buffers()
        sockets = None if fd is None else [socket.socket(fileno=fd)]
        uvicorn.Server(config).run(sockets=sockets)

    def _serve_metrics(self) -> None:
        """This process's own, on a port apart: what PORT serves may be public."""
        port = settings.WEB_METRICS_PORT
        if port is None:
            return
        try:
            server, _ = start_http_server(port, addr=settings.HOST)
        except OSError as error:
            logger.warning("WEB_METRICS_PORT %s can't be listened on: %s", port, error.strerror)
            return
        logger.info("This process's metrics on port %s", server.server_port)
