"""tus 1.0: checksums of what one request brings."""

from __future__ import annotations

import hashlib

import pytest

from tasks.tests.crew import until
from tasks.uploads.tests.tus_client import CONTENT, checksum

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("name", ["sha1", "sha256", "crc32", "md5"])
def test_a_right_checksum_is_taken_and_a_wrong_one_drops_the_bytes(tus, name):
    url = tus.new()
    right = checksum(name, CONTENT[:100])
    assert tus.patch(url, CONTENT[:100], Upload_Checksum=right).status_code == 204
    wrong = tus.patch(url, CONTENT[100:200], at=100, Upload_Checksum=right)
    assert wrong.status_code == 460
    assert wrong.json()["title"] == "Checksum Mismatch"
    assert tus.offset(url) == 100
    rest = CONTENT[100:]
    assert tus.patch(url, rest, at=100, Upload_Checksum=checksum(name, rest)).status_code == 204
    assert tus.service.upload_at(url).sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("text", ["sha512 YQ==", "sha1", "sha1 n*t", ""])
def test_a_checksum_that_is_none_is_told(tus, text):
    url = tus.new()
    answer = tus.patch(url, CONTENT, Upload_Checksum=text)
    assert answer.status_code == 400
    assert tus.offset(url) == 0


@pytest.mark.parametrize("good", [True, False])
def test_a_checksum_may_come_in_a_trailer(tus, good):
    url = tus.new(10)
    head = (
        "PATCH {path} HTTP/1.1\r\nHost: {host}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        "Content-Type: application/offset+octet-stream\r\nTransfer-Encoding: chunked\r\n"
        "Trailer: Upload-Checksum\r\n\r\n"
    )
    told = checksum("sha1", b"0123456789" if good else b"other")
    body = f"a\r\n0123456789\r\n0\r\nUpload-Checksum: {told}\r\n\r\n".encode()
    with tus.send_half(url, head, body) as wire:
        wire.settimeout(60)
        assert wire.recv(100).startswith(b"HTTP/1.1 204" if good else b"HTTP/1.1 460")
    assert tus.offset(url) == (10 if good else 0)


def test_what_was_not_checked_does_not_count_after_a_break(tus):
    url = tus.new(2_000_000)
    head = (
        "PATCH {path} HTTP/1.1\r\nHost: {host}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        "Content-Type: application/offset+octet-stream\r\nContent-Length: 2000000\r\n"
        f"Upload-Checksum: {checksum('sha1', b'a' * 2_000_000)}\r\n\r\n"
    )
    tus.send_half(url, head, b"a" * 1_500_000).close()
    until(lambda: tus.service.file_of(url).exists())
    assert tus.offset(url) == 0
