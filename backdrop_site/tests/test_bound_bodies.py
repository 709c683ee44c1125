"""No body fills the web process's disk: what is too large is refused as soon as that is known."""

from __future__ import annotations

import json
import select
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from backdrop_site.bodies import MOST_BYTES

pytestmark = pytest.mark.django_db(transaction=True)
MOST_SENT = 64 << 20
PIECE = bytes(1 << 20)


def exchange(web, head: str, body_without_end: bool) -> tuple[bytes, int]:
    """What is answered, and how many bytes of a body had been sent by then."""
    host, port = web.netloc.split(":")
    sent = 0
    with socket.create_connection((host, int(port)), timeout=30) as line:
        request = f"POST /auth/login HTTP/1.1\r\nHost: {web.netloc}\r\n"
        line.sendall(f"{request}Content-Type: application/json\r\n{head}\r\n\r\n".encode())
        while body_without_end and sent < MOST_SENT and not select.select([line], [], [], 0)[0]:
            line.sendall(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
            sent += len(PIECE)
        answer = line.recv(1 << 16)
        with suppress(OSError):
            while more := line.recv(1 << 16):
                answer += more
    return answer, sent


def written(web) -> int:
    lines = Path(f"/proc/{web.process.pid}/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("write_bytes")).split()[1])


def is_refusal(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.startswith(b"HTTP/1.1 413") and str(MOST_BYTES) in json.loads(body)["detail"]


def test_a_size_that_is_announced_is_refused_before_the_body(web):
    answer, _ = exchange(web, f"Content-Length: {MOST_BYTES + 1}", body_without_end=False)
    assert is_refusal(answer)


def test_a_body_without_end_is_refused_in_the_midst_of_it(web):
    before = written(web)
    answer, sent = exchange(web, "Transfer-Encoding: chunked", body_without_end=True)
    assert is_refusal(answer)
    assert sent < MOST_SENT
    assert written(web) - before <= 2 * MOST_BYTES


def test_a_body_in_chunks_is_read_as_one_that_tells_its_length(web):
    told = {"Content-Type": "application/json"}
    with web.client() as client:
        for content in (b'{"username": "x", "password": "y"}', iter([b'{"username": "x"', b"}"])):
            answer = client.post("/auth/login", content=content, headers=told)
            wanted = 401 if isinstance(content, bytes) else 400
            assert answer.status_code == wanted, answer.text
        pieces = iter([b'{"username": "x", ', b'"password": "y"}'])
        assert client.post("/auth/login", content=pieces, headers=told).status_code == 401


def test_who_goes_away_in_the_midst_of_it_leaves_nothing(web):
    host, port = web.netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as line:
        request = f"POST /auth/login HTTP/1.1\r\nHost: {web.netloc}\r\n"
        line.sendall(f"{request}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".encode())
    with web.client() as client:
        assert client.get("/healthz").status_code == 200
    assert "Traceback" not in web.log.read_text()
