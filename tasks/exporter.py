"""Serves `/metrics` to Prometheus: a service of the daemon."""

from __future__ import annotations

import asyncio
import logging
import socket
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connections
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from tasks import metrics
from tasks.checks import MissingError

if TYPE_CHECKING:
    from tasks.daemon import Daemon

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0
PATIENCE_SECONDS = 10.0
_served_at = ""
TEXT = "text/plain; charset=utf-8"


async def serve(daemon: Daemon) -> None:
    """Answer scrapes until the daemon stops; while the port is another's, try again."""
    told = False
    registry = metrics.new_registry()
    while not daemon.stopping.is_set():
        try:
            server = Exporter(settings.HOST, settings.METRICS_PORT, registry)
        except OSError as error:
            if not told:
                logger.warning(
                    "Metrics can't be served on %s, port %s (%s): METRICS_PORT sets another.",
                    settings.HOST,
                    settings.METRICS_PORT,
                    error.strerror,
                )
            told = True
            await daemon.sleep(AGAIN_SECONDS)
            continue
        Thread(target=server.serve_forever, args=[0.1], name="metrics", daemon=True).start()
        logger.info("Metrics on %s", server.url)
        _note(server.url)
        try:
            await daemon.stopping.wait()
        finally:
            _note("")
            await asyncio.to_thread(server.shutdown)
            server.server_close()


def _note(url: str) -> None:
    global _served_at  # noqa: PLW0603 - one to a process
    _served_at = url


def served_at() -> str:
    """The address at which this process tells metrics; empty while it does not."""
    return _served_at


def here(host: str) -> str:
    """Where on this machine to reach who listens on `host`."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def ask() -> None:
    """One of the doors of `manage.py alive daemon`: raises MissingError unless metrics are told."""
    host = here(settings.HOST)
    connection = HTTPConnection(host, settings.METRICS_PORT, timeout=PATIENCE_SECONDS)
    place = f"port {settings.METRICS_PORT} of {host}"
    try:
        connection.request("GET", "/metrics")
        status = connection.getresponse().status
    except (OSError, HTTPException):
        raise MissingError(
            f"Metrics are not told on {place}.", remedy="The daemon's log says why."
        ) from None
    finally:
        connection.close()
    if status != HTTPStatus.OK:
        raise MissingError(f"Metrics on {place} answer {status}.", remedy="Is the database there?")


class Exporter(ThreadingHTTPServer):
    """Listens from the moment it is made; each scrape has a thread, but they take turns."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.registry = registry
        self.turn = Lock()
        super().__init__((host, port), Scrape)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        place = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{place}:{port}/metrics"

    def server_bind(self) -> None:
        """Without the look-up of our own name that HTTPServer makes, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()


class Scrape(BaseHTTPRequestHandler):
    """One connection."""

    server: Exporter
    timeout = PATIENCE_SECONDS
    server_version = "Backdrop"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, TEXT, b"Metrics are at /metrics.\n")
            return
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        if not self.server.turn.acquire(timeout=PATIENCE_SECONDS):
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, b"A scrape before this one hangs.\n")
            return
        try:
            body = encode(self.server.registry)
        except Exception as error:  # of whatever kind: Prometheus shall see that this one failed
            logger.warning("A scrape failed: %s", type(error).__name__)
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, b"The database does not answer.\n")
            return
        finally:
            self.server.turn.release()
            connections.close_all()  # this thread's
        self._answer(HTTPStatus.OK, content_type, body)

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes come every few seconds: not a line for each."""
