"""A proxy in front of a real server, through which it fails in ways that it would not by itself."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from backups.pipeline.errors import StorageError
from backups.pipeline.ports import ObjectStore

PASS, SWALLOW = "pass", "swallow"
"""What may become of a request: it goes through, or its answer is lost."""


class FaultyProxy:
    """Passes bytes on both ways. `judge` sees the head of each request and says PASS, SWALLOW, or
    gives the answer that the client gets instead; `cut_after` breaks connections after so many
    bytes of an answer."""

    def __init__(self, endpoint: str) -> None:
        self._target = ("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))
        self.judge: Callable[[bytes], str] = lambda head: PASS
        self.cut_after: int | None = None
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = [self._listener]

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._open:
            _close(each)

    def break_now(self) -> None:
        """Break every connection; new ones can be made."""
        for each in self._open[1:]:
            _close(each)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                lost = threading.Event()
                for work in (self._forward, self._back):
                    threading.Thread(target=work, args=[client, server, lost], daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                is_head = data.split(b" ", 1)[0] in (b"GET", b"HEAD", b"PUT", b"POST", b"DELETE")
                verdict = self.judge(data) if is_head else PASS
                if verdict == SWALLOW:
                    lost.set()
                elif verdict != PASS:
                    client.sendall(verdict.encode())
                    break
                server.sendall(data)
        _close(server)
        _close(client)

    def _back(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        passed = 0
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if lost.is_set() and not data.startswith(b"HTTP/1.1 100"):
                    break
                client.sendall(data)
                passed += len(data)
                if self.cut_after is not None and passed > self.cut_after:
                    self.cuts += 1
                    break
        _close(client)
        _close(server)


def answer(status: str, code: str) -> str:
    """An S3 server's refusal as it goes over the wire."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"


def shows_patience(store: ObjectStore, proxy: FaultyProxy, refusal: str, *, seconds: float) -> None:
    """Refused so, it keeps trying for that long and no longer: no try follows one that came late.

    Holds however slow the machine is, which the number of tries does not.
    """
    asked = []

    def judge(head: bytes) -> str:
        asked.append(time.monotonic())
        return refusal

    proxy.judge = judge
    began = time.monotonic()
    with pytest.raises(StorageError):
        list(store.list())
    assert time.monotonic() - began >= seconds
    assert all(at - asked[0] < seconds for at in asked[:-1])


@contextmanager
def web_server(status: int, body: bytes) -> Iterator[str]:
    """A server that is none for objects."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def _answer(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _close(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
