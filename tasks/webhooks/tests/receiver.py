"""A webhook's other end on loopback, which answers as a test has it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

OK = b"HTTP/1.1 204 No Content\r\n\r\n"
HANG = b""
HALF = b"HTTP/1.1 200 OK\r\nContent-Ty"


def answer(status: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", "Content-Length: 0", *headers, "", ""]
    return "\r\n".join(lines).encode()


@dataclass
class Heard:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Gives `answers` in turn, then OK. HANG answers nothing until the end."""

    def __init__(self, answers: tuple[bytes, ...], context: ssl.SSLContext | None) -> None:
        self.answers = list(answers)
        self.heard: list[Heard] = []
        self._context = context
        self._over = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/secret-part?key=1"

    def end(self) -> None:
        self._over.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._server.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            with suppress(OSError):
                connection, _ = self._server.accept()
                with connection:
                    self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        with connection, connection.makefile("rb") as said:
            self.heard.append(_read(said))
            given = self.answers.pop(0) if self.answers else OK
            if given == HANG:
                said.read(1)  # until the other end has had enough
            connection.sendall(given)


def _read(said: Any) -> Heard:
    path = said.readline().split()[1].decode()
    headers = {}
    while line := said.readline().strip().decode():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Heard(path, headers, said.read(int(headers["content-length"])))


@contextmanager
def receiving(*answers: bytes, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver(answers, context)
    try:
        yield receiver
    finally:
        receiver.end()
