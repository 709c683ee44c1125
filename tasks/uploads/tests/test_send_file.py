"""The whole file in one POST, as a raw body or a form's field."""

from __future__ import annotations

import hashlib
import socket
import time

import pytest

from tasks.models import Task
from tasks.states import Status
from tasks.tests.crew import until

pytestmark = pytest.mark.django_db(transaction=True)

CONTENT = b"what has to be done\n" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_it_works(service):
    asked = service.ask(filename="list.txt", size=len(CONTENT), sha256=SHA256)
    assert asked.status_code == 201
    told = asked.json()
    assert told["status"] == "awaiting_upload"
    assert told["upload_url"].startswith(f"{service.web.url}/task/upload/")
    answer = service.nobody.post(told["upload_url"], content=CONTENT)
    assert answer.status_code == 202
    assert answer.json()["id"] == told["id"]
    assert answer.json()["status"] == "queued"
    upload = service.upload_at(told["upload_url"])
    assert upload.complete
    assert (upload.size, upload.sha256) == (len(CONTENT), SHA256)
    assert upload.content_type == "text/plain"
    assert service.file_of(told["upload_url"]).read_bytes() == CONTENT
    events = [event.message for event in upload.task.events.all()]
    assert events[-2:] == [
        "Its file is being sent",
        f"Its file has arrived: {len(CONTENT)} bytes",
    ]


def test_a_form_brings_it_too(service):
    url = service.url(size=len(CONTENT))
    files = {"other": ("a", b"not this"), "file": ("list.txt", CONTENT)}
    assert service.nobody.post(url, files=files, data={"x": "1"}).status_code == 202
    assert service.upload_at(url).sha256 == SHA256


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"other": ("a", b"x")}, "no field `file`"),
        ([("file", ("a", b"x")), ("file", ("b", b"y"))], "more than one field `file`"),
    ],
)
def test_a_form_without_one_file_is_refused(service, files, sentence):
    url = service.url()
    answer = service.nobody.post(url, files=files)
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]
    assert service.nobody.post(url, content=CONTENT).status_code == 202


def test_a_broken_form_is_refused(service):
    url = service.url()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"nonsense", b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nab'):
        answer = service.nobody.post(url, content=body, headers=headers)
        assert answer.status_code == 400, answer.text


def test_an_empty_file_is_a_file(service):
    url = service.url(size=0)
    assert service.nobody.post(url, content=b"").status_code == 202
    assert service.upload_at(url).size == 0


def test_another_size_than_announced_is_refused_and_may_be_sent_again(service):
    url = service.url(size=len(CONTENT))
    told = service.nobody.post(url, content=CONTENT[:-1])
    assert told.status_code == 422
    assert "size differs" in told.json()["detail"]
    # Without a length nobody can tell before the end.
    chunked = service.nobody.post(url, content=iter([CONTENT, b"more"]))
    assert chunked.status_code == 422
    short = service.nobody.post(url, content=iter([CONTENT[:10]]))
    assert short.status_code == 422
    assert service.upload_at(url).offset == 0
    assert service.nobody.post(url, content=CONTENT).status_code == 202


def test_another_checksum_than_announced_is_refused(service):
    url = service.url(sha256=SHA256)
    told = service.nobody.post(url, content=b"x" + CONTENT[1:])
    assert told.status_code == 422
    assert "SHA-256 differs" in told.json()["detail"]
    assert service.nobody.post(url, content=CONTENT).status_code == 202


def test_a_type_that_the_job_does_not_take_is_refused_before_all_has_come(service):
    url = service.url("toy-text")
    told = service.nobody.post(url, content=b"\x89PNG\r\n\x1a\n" + bytes(100_000))
    assert told.status_code == 415
    assert "image/png" in told.json()["detail"]
    assert "text/*" in told.json()["detail"]
    assert service.nobody.post(url, content=CONTENT).status_code == 202


def test_what_is_too_large_is_refused_before_it_is_taken(service):
    assert service.ask("toy-text", size=5_000_001).status_code == 413
    url = service.url("toy-text")
    with socket.create_connection(service.web.netloc.split(":")) as wire:
        path = url.removeprefix(service.web.url)
        head = f"POST {path} HTTP/1.1\r\nHost: {service.web.netloc}\r\n"
        wire.sendall(f"{head}Content-Length: 5000001\r\nExpect: 100-continue\r\n\r\n".encode())
        assert wire.recv(100).startswith(b"HTTP/1.1 413")
    chunked = service.nobody.post(url, content=iter([b"a" * 3_000_000] * 2))
    assert chunked.status_code == 413
    assert service.file_of(url).stat().st_size == 0


def test_a_complete_file_is_not_taken_twice(service):
    url = service.url()
    assert service.nobody.post(url, content=CONTENT).status_code == 202
    again = service.nobody.post(url, content=CONTENT)
    assert again.status_code == 409
    assert "complete" in again.json()["detail"]


def test_a_cancel_kills_the_address(service):
    asked = service.ask().json()
    assert service.http.post(asked["cancel_url"]).status_code == 202
    told = service.nobody.post(asked["upload_url"], content=CONTENT)
    assert told.status_code == 410
    assert "was cancelled at 20" in told.json()["detail"]


@pytest.mark.alone
def test_a_cancel_ends_what_is_being_sent(service):
    asked = service.ask(size=10_000_000).json()
    with socket.create_connection(service.web.netloc.split(":")) as wire:
        path = asked["upload_url"].removeprefix(service.web.url)
        head = f"POST {path} HTTP/1.1\r\nHost: {service.web.netloc}\r\n"
        wire.sendall(f"{head}Content-Length: 10000000\r\n\r\n".encode() + b"a" * 3_000_000)
        until(lambda: Task.objects.get(pk=asked["id"]).status == Status.UPLOADING)
        began = time.monotonic()
        assert service.http.post(asked["cancel_url"]).status_code == 202
        wire.settimeout(60)
        assert wire.recv(100).startswith(b"HTTP/1.1 410")
        assert time.monotonic() - began < 3


def test_a_guess_is_no_address(service):
    url = service.url()
    own = url[:-1] + ("A" if url[-1] != "A" else "B")
    for guess in (own, f"{service.web.url}/task/upload/x", f"{service.web.url}/task/upload/ä"):
        answer = service.nobody.post(guess, content=b"x")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_address_is_not_kept_in_the_database(service):
    url = service.url()
    secret = url.rsplit("/", 1)[1]
    row = service.upload_at(url)
    kept = " ".join(str(value) for value in [*vars(row).values(), *vars(row.task).values()])
    assert secret not in kept
    assert secret[22:] not in kept


def test_the_same_key_asks_once(service):
    first = service.ask(key="k", filename="a")
    again = service.ask(key="k", filename="a")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert service.ask(key="k", filename="b").status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"job": "toy-nothing"}, "job"),
        ({"job": "no such"}, "job"),
        ({"job": "toy-file", "options": {"copies": 10}}, "options.copies"),
        ({"job": "toy-file", "options": {"other": 1}}, "options"),
        ({"job": "toy-file", "size": -1}, "size"),
        ({"job": "toy-file", "sha256": "x"}, "sha256"),
        ({"job": "toy-file", "max_attempts": 0}, "max_attempts"),
        ({}, "job"),
    ],
)
def test_a_bad_request_says_which_field(service, body, field):
    answer = service.http.post("/task/request", json=body)
    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def test_a_stranger_without_a_team_role_may_not_ask(service, viewer):
    with service.web.client(viewer) as client:
        assert client.post("/task/request", json={"job": "toy-file"}).status_code == 403
    assert service.nobody.post("/task/request", json={"job": "toy-file"}).status_code == 401


def test_what_had_arrived_when_the_connection_broke_can_be_gone_on_with(service):
    url = service.url(size=3_000_000)
    with socket.create_connection(service.web.netloc.split(":")) as wire:
        path = url.removeprefix(service.web.url)
        head = f"POST {path} HTTP/1.1\r\nHost: {service.web.netloc}\r\n"
        wire.sendall(f"{head}Content-Length: 3000000\r\n\r\n".encode() + b"a" * 1_000_000)
    until(lambda: service.upload_at(url).offset == 1_000_000)
    tus = {"Tus-Resumable": "1.0.0", "Upload-Offset": "1000000"}
    tus["Content-Type"] = "application/offset+octet-stream"
    assert service.nobody.patch(url, content=b"a" * 2_000_000, headers=tus).status_code == 204
    assert service.upload_at(url).sha256 == hashlib.sha256(b"a" * 3_000_000).hexdigest()


def test_the_jobs_that_take_files_are_listed_with_what_they_take(service):
    listed = {job["name"]: job for job in service.http.get("/api/jobs/").json()}
    assert {"inspect", "compress", "toy-file"} <= set(listed)
    assert "backup" not in listed
    assert listed["toy-text"]["types"] == ["text/*"]
    assert listed["toy-text"]["max_bytes"] == 5_000_000
    assert listed["compress"]["options"]["properties"]["format"]["enum"] == ["gzip", "zstd"]
    assert service.http.get("/api/jobs/compress/").json() == listed["compress"]
    assert service.http.get("/api/jobs/backup/").status_code == 404
    assert service.nobody.get("/api/jobs/").status_code == 401


def test_a_whole_number_with_a_point_is_told_before_its_job_stumbles_over_it(service):
    refused = service.ask("compress", options={"format": "gzip", "level": 1.0})
    assert refused.status_code == 400
    assert "integer" in str(refused.json()["errors"]["options.level"])
    assert service.ask("compress", options={"format": "gzip", "level": 1}).status_code == 201
