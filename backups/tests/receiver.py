"""A webhook's other end on loopback: it keeps what it was sent, and can refuse for a while."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

PATH = "/services/T000/B000/very-secret-part"


class Receiver:
    """Answers with `answers` in turn, then 200; only what it took with 200 is in `taken`."""

    def __init__(self, answers: list[int]) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []
        self.taken: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status = receiver.answers.pop(0) if receiver.answers else 200
                receiver.asked.append(status)
                if status == 200:
                    receiver.taken.append({"path": self.path, **json.loads(said)})
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b"ok" if status == 200 else b"no")

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_address[1]}"

    @property
    def webhook(self) -> str:
        return f"http://{self.place}{PATH}"

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.taken]


@contextmanager
def receiving(*answers: int) -> Iterator[Receiver]:
    receiver = Receiver(list(answers))
    thread = Thread(target=receiver.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join(5)
