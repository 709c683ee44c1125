"""A client that knows nothing but tus 1.0, word by word from the protocol."""

from __future__ import annotations

import base64
import hashlib
import socket
import zlib

import httpx

TUS = {"Tus-Resumable": "1.0.0"}
BODY = {"Content-Type": "application/offset+octet-stream"}
CONTENT = bytes(number * 7 % 251 for number in range(5000))


def encoded(**values: str) -> str:
    return ",".join(f"{n} {base64.b64encode(v.encode()).decode()}" for n, v in values.items())


class Tus:
    """As the owner, to make uploads, and as nobody, to send them."""

    def __init__(self, service) -> None:
        self.service = service
        self.place = f"{service.web.url}/task/upload/"
        self.http = service.nobody

    def create(self, *, content: bytes | None = None, **headers: str) -> httpx.Response:
        told = {**TUS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        told.setdefault("Upload-Metadata", encoded(job="toy-file", filename="a.txt"))
        if content is not None:
            told |= BODY
        return self.service.http.post(self.place, headers=told, content=content)

    def new(self, size: int = len(CONTENT), **headers: str) -> str:
        answer = self.create(Upload_Length=str(size), **headers)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def patch(self, url, content, at=0, **headers: str) -> httpx.Response:
        told = {**TUS, **BODY, "Upload-Offset": str(at)}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.patch(url, content=content, headers=told)

    def head(self, url) -> httpx.Response:
        return self.http.head(url, headers=TUS)

    def offset(self, url) -> int:
        return int(self.head(url).headers["Upload-Offset"])

    def send_half(self, url: str, head: str, body: bytes) -> socket.socket:
        """A request that stays open: head as it stands, some of its body."""
        wire = socket.create_connection(self.service.web.netloc.split(":"))
        path = url.removeprefix(self.service.web.url)
        wire.sendall(f"{head.format(path=path, host=self.service.web.netloc)}".encode() + body)
        return wire


def checksum(name: str, data: bytes) -> str:
    digest = zlib.crc32(data).to_bytes(4) if name == "crc32" else hashlib.new(name, data).digest()
    return f"{name} {base64.b64encode(digest).decode()}"
