"""Sends a file by one request with as little work as can be: the kernel copies it to the socket."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    seconds: float
    head: str


def send(
    netloc: str, method: str, path: str, headers: Mapping[str, str], file: Path | None = None
) -> Answer:
    """Seconds are from the first byte sent to the head of the answer."""
    size = file.stat().st_size if file is not None else 0
    told = {"Host": netloc, "Connection": "close", "Content-Length": str(size), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    host, port = netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as wire:
        began = time.monotonic()
        wire.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        if file is not None:
            with file.open("rb") as source:
                wire.sendfile(source)
        answer = b""
        while b"\r\n\r\n" not in answer and (piece := wire.recv(65536)):
            answer += piece
        seconds = time.monotonic() - began
        while wire.recv(65536):
            pass
    text = answer.decode("latin-1")
    found = re.match(r"HTTP/1.1 (\d+)", text)
    return Answer(int(found[1]) if found else 0, seconds, text)


def header(answer: Answer, name: str) -> str:
    found = re.search(rf"^{name}: (.*)\r$", answer.head, re.IGNORECASE | re.MULTILINE)
    if found is None:
        raise RuntimeError(answer.head)
    return found[1]
