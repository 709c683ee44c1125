"""tus 1.0, word by word from the protocol: core and each extension that OPTIONS names."""

from __future__ import annotations

import base64
import hashlib
import socket
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tasks.models import Task, Upload
from tasks.states import Status
from tasks.tests.crew import until

pytestmark = pytest.mark.django_db(transaction=True)

TUS = {"Tus-Resumable": "1.0.0"}
BODY = {"Content-Type": "application/offset+octet-stream"}
CONTENT = bytes(number * 7 % 251 for number in range(5000))


def encoded(**values: str) -> str:
    return ",".join(f"{n} {base64.b64encode(v.encode()).decode()}" for n, v in values.items())


class Tus:
    """A client that knows nothing but the protocol."""

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


@pytest.fixture
def tus(service) -> Tus:
    return Tus(service)


def test_it_works(tus):
    answer = tus.create(Upload_Length=str(len(CONTENT)))
    assert answer.status_code == 201
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    url = answer.headers["Location"]
    assert url.startswith(tus.place)
    first = tus.patch(url, CONTENT[:2000])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "2000")
    assert tus.offset(url) == 2000
    last = tus.patch(url, CONTENT[2000:], at=2000)
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(CONTENT)))
    upload = tus.service.upload_at(url)
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert upload.task.status == Status.QUEUED
    assert (upload.filename, upload.task.owner) == ("a.txt", tus.service.user)


# Core -------------------------------------------------------------------------------------------


def test_options_tell_what_it_can(tus):
    for url in (tus.place, tus.new()):
        answer = tus.http.options(url)
        assert answer.status_code == 200
        assert answer.headers["Tus-Version"] == "1.0.0"
        assert int(answer.headers["Tus-Max-Size"]) > 0
        told = set(answer.headers["Tus-Extension"].split(","))
        assert told >= {
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "expiration",
            "checksum",
            "checksum-trailer",
            "termination",
            "concatenation",
        }
        assert {"sha1", "sha256", "crc32"} <= set(
            answer.headers["Tus-Checksum-Algorithm"].split(",")
        )


@pytest.mark.parametrize("spoken", [{}, {"Tus-Resumable": "0.2.2"}])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_another_version_is_refused(tus, spoken, method):
    url = tus.place if method == "POST" else tus.new()
    client = tus.service.http
    answer = client.request(
        method, url, headers={**spoken, **BODY, "Upload-Offset": "0", "Upload-Length": "5"}
    )
    assert answer.status_code == 412
    assert answer.headers["Tus-Version"] == "1.0.0"


def test_head_tells_offset_length_and_metadata_and_is_not_cached(tus):
    metadata = encoded(job="toy-file", filename="ü.txt", other="") + ",flag"
    url = tus.new(Upload_Metadata=metadata)
    answer = tus.head(url)
    assert answer.status_code == 200
    assert answer.headers["Upload-Offset"] == "0"
    assert answer.headers["Upload-Length"] == str(len(CONTENT))
    assert answer.headers["Upload-Metadata"] == metadata
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.content == b""
    assert tus.service.upload_at(url).filename == "ü.txt"


def test_head_of_nothing_is_404_without_an_offset(tus):
    answer = tus.head(tus.place + "nothing")
    assert answer.status_code == 404
    assert "Upload-Offset" not in answer.headers


def test_patch_wants_its_content_type_and_offset(tus):
    url = tus.new()
    wrong = tus.patch(url, b"x", Content_Type="text/plain")
    assert wrong.status_code == 415
    missing = tus.http.patch(url, content=b"x", headers={**TUS, **BODY})
    assert missing.status_code == 400
    for nonsense in ("-1", "x", "1.5", "9" * 30, ""):
        assert tus.patch(url, b"x", at=nonsense).status_code == 400
    assert tus.offset(url) == 0


def test_patch_at_another_offset_is_a_conflict(tus):
    url = tus.new()
    tus.patch(url, CONTENT[:10])
    answer = tus.patch(url, CONTENT[20:], at=20)
    assert answer.status_code == 409
    assert answer.headers["Upload-Offset"] == "10"
    assert tus.offset(url) == 10


def test_nothing_is_taken_past_the_length(tus):
    url = tus.new(10)
    assert tus.patch(url, b"x" * 11).status_code == 413
    assert tus.patch(url, iter([b"x" * 6, b"x" * 6])).status_code == 413
    assert tus.offset(url) == 0
    assert tus.patch(url, b"x" * 10).status_code == 204
    assert tus.patch(url, b"x", at=10).status_code == 403
    assert tus.offset(url) == 10


def test_an_empty_patch_changes_nothing(tus):
    url = tus.new()
    assert tus.patch(url, b"").headers["Upload-Offset"] == "0"
    tus.patch(url, CONTENT)
    assert tus.offset(url) == len(CONTENT)


def test_a_method_may_stand_in_a_header(tus):
    url = tus.new()
    headers = {**TUS, **BODY, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert tus.http.post(url, content=CONTENT, headers=headers).status_code == 204
    headers = {**TUS, "X-HTTP-Method-Override": "DELETE"}
    assert tus.http.post(url, headers=headers).status_code == 204
    assert tus.head(url).status_code == 410


def test_other_methods_are_not_allowed(tus):
    answer = tus.http.get(tus.new())
    assert answer.status_code == 405
    assert "PATCH" in answer.headers["Allow"]
    assert tus.http.put(tus.place).status_code == 405


def test_a_broken_connection_loses_nothing_that_came(tus):
    url = tus.new(2_000_000)
    head = (
        "PATCH {path} HTTP/1.1\r\nHost: {host}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        "Content-Type: application/offset+octet-stream\r\nContent-Length: 2000000\r\n\r\n"
    )
    tus.send_half(url, head, b"a" * 1_500_000).close()
    until(lambda: tus.service.upload_at(url).offset == 1_500_000)
    assert tus.offset(url) == 1_500_000
    assert tus.patch(url, b"a" * 500_000, at=1_500_000).status_code == 204


def test_a_new_request_ends_the_old_one(tus):
    url = tus.new(2_000_000)
    head = (
        "PATCH {path} HTTP/1.1\r\nHost: {host}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        "Content-Type: application/offset+octet-stream\r\nContent-Length: 2000000\r\n\r\n"
    )
    with tus.send_half(url, head, b"a" * 1_200_000) as old:
        until(lambda: tus.service.upload_at(url).task.progress_done)
        offset = tus.offset(url)
        assert 0 < offset <= 1_200_000
        assert tus.patch(url, b"a" * (2_000_000 - offset), at=offset).status_code == 204
        old.settimeout(5)
        assert old.recv(100).startswith(b"HTTP/1.1 409")
    wanted = hashlib.sha256(b"a" * 2_000_000).hexdigest()
    assert tus.service.upload_at(url).sha256 == wanted


# Creation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upload-Length": "-1"},
        {"Upload-Length": "x"},
        {"Upload-Length": "5", "Upload-Defer-Length": "1"},
        {"Upload-Defer-Length": "2"},
        {"Upload-Length": "5", "Upload-Metadata": "name n*t base64"},
        {"Upload-Length": "5", "Upload-Metadata": "a YQ==,a YQ=="},
        {"Upload-Length": "5", "Upload-Metadata": encoded(job="no-such-job")},
        {"Upload-Length": "5", "Upload-Metadata": encoded(job="toy-file", options="[")},
        {"Upload-Length": "5", "Upload-Metadata": encoded(job="toy-file", options='{"no": 1}')},
        {"Upload-Length": "5", "Upload-Metadata": encoded(job="toy-file", options="[" * 30_000)},
        {"Upload-Length": "5", "Upload-Metadata": encoded(job="inspect", options='{"a": NaN}')},
        {"Upload-Length": "5", "Upload-Metadata": encoded(job="inspect", options='{"\\ud800": 1}')},
        {"Upload-Length": "5", "Upload-Concat": "half"},
    ],
)
def test_bad_headers_are_told(tus, headers):
    answer = tus.create(**headers)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert not Upload.objects.exists()


def test_to_create_one_logs_in(tus):
    answer = tus.http.post(tus.place, headers={**TUS, "Upload-Length": "5"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    bad = {**TUS, "Upload-Length": "5", "Authorization": "Bearer nonsense"}
    assert tus.http.post(tus.place, headers=bad).status_code == 401


def test_what_is_too_large_is_not_created(tus):
    answer = tus.create(Upload_Length=str(2**50))
    assert answer.status_code == 413


def test_an_empty_file_is_complete_at_once(tus):
    url = tus.new(0)
    assert tus.service.upload_at(url).complete
    assert tus.offset(url) == 0


def test_the_first_bytes_may_come_with_the_creation(tus):
    answer = tus.create(Upload_Length=str(len(CONTENT)), content=CONTENT[:100])
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "100")
    whole = tus.create(Upload_Length=str(len(CONTENT)), content=CONTENT)
    assert whole.headers["Upload-Offset"] == str(len(CONTENT))
    assert tus.service.upload_at(whole.headers["Location"]).complete


def test_the_length_may_come_later(tus):
    answer = tus.create(Upload_Defer_Length="1")
    url = answer.headers["Location"]
    assert tus.head(url).headers["Upload-Defer-Length"] == "1"
    assert "Upload-Length" not in tus.head(url).headers
    tus.patch(url, CONTENT[:10])
    assert tus.patch(url, CONTENT[10:20], at=10, Upload_Length="5").status_code == 400
    told = tus.patch(url, CONTENT[10:20], at=10, Upload_Length=str(len(CONTENT)))
    assert told.status_code == 204
    assert "Upload-Defer-Length" not in tus.head(url).headers
    assert tus.patch(url, b"", at=20, Upload_Length="99").status_code == 400
    assert tus.patch(url, CONTENT[20:], at=20).status_code == 204
    assert tus.service.upload_at(url).complete


# Expiration -------------------------------------------------------------------------------------


def test_it_says_when_it_expires_and_then_it_has(tus):
    url = tus.new()
    for answer in (tus.head(url), tus.patch(url, CONTENT[:10])):
        at = parsedate_to_datetime(answer.headers["Upload-Expires"])
        assert at > datetime.now(UTC)
    Upload.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    answer = tus.patch(url, CONTENT[10:], at=10)
    assert answer.status_code == 410
    assert "expired at 20" in answer.json()["detail"]
    assert tus.head(url).status_code == 410


def test_what_is_complete_expires_no_more(tus):
    url = tus.new()
    answer = tus.patch(url, CONTENT)
    assert "Upload-Expires" not in answer.headers


# Checksum ---------------------------------------------------------------------------------------


def checksum(name: str, data: bytes) -> str:
    digest = zlib.crc32(data).to_bytes(4) if name == "crc32" else hashlib.new(name, data).digest()
    return f"{name} {base64.b64encode(digest).decode()}"


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
    assert answer.status_code == 400 if text != "sha1" else answer.status_code in (400, 460)
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
        wire.settimeout(5)
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


# Termination ------------------------------------------------------------------------------------


def test_delete_cancels_the_task_and_removes_the_bytes(tus):
    url = tus.new()
    tus.patch(url, CONTENT[:10])
    path = tus.service.file_of(url)
    assert path.exists()
    assert tus.http.delete(url, headers=TUS).status_code == 204
    assert not path.exists()
    assert tus.service.upload_at(url).task.status == Status.CANCELLED
    assert tus.head(url).status_code == 410
    assert tus.patch(url, CONTENT[10:], at=10).status_code == 410


# Concatenation ----------------------------------------------------------------------------------


def part(tus, content: bytes) -> str:
    url = tus.new(len(content), Upload_Concat="partial")
    assert tus.patch(url, content).status_code == 204
    return url


def join(tus, *urls: str, **headers: str) -> httpx.Response:
    return tus.create(Upload_Concat=f"final;{' '.join(urls)}", **headers)


def test_parts_are_joined(tus):
    one, two = part(tus, CONTENT[:700]), part(tus, CONTENT[700:])
    assert tus.head(one).headers["Upload-Concat"] == "partial"
    assert not Task.objects.exists()
    answer = join(tus, one, two.removeprefix(tus.service.web.url))
    assert answer.status_code == 201
    url = answer.headers["Location"]
    head = tus.head(url).headers
    assert head["Upload-Concat"].startswith("final;")
    assert head["Upload-Length"] == head["Upload-Offset"] == str(len(CONTENT))
    upload = tus.service.upload_at(url)
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert upload.task.status == Status.QUEUED
    assert tus.patch(url, b"x", at=len(CONTENT)).status_code == 403


def test_what_can_not_be_joined_is_told(tus, mate):
    whole, half = tus.new(), tus.new(10, Upload_Concat="partial")
    assert join(tus, whole).status_code == 400
    assert join(tus, half).status_code == 409
    for nothing in ("/task/upload/nothing", "http://["):
        assert join(tus, nothing).status_code == 404
    assert join(tus, part(tus, b"x"), Upload_Length="1").status_code == 400
    mine = part(tus, b"x")
    with tus.service.web.client(mate) as other:
        told = {**TUS, "Upload-Concat": f"final;{mine}"}
        told["Upload-Metadata"] = encoded(job="toy-file")
        assert other.post(tus.place, headers=told).status_code == 404
    waiting = Task.objects.filter(status__in=[Status.QUEUED, Status.UPLOADING])
    assert not waiting.exists()


def test_a_part_is_no_file_to_post(tus):
    url = tus.new(5, Upload_Concat="partial")
    assert tus.http.post(url, content=b"12345").status_code == 409
