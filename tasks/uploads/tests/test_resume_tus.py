"""tus 1.0, word by word from the protocol: its core."""

from __future__ import annotations

import hashlib

import pytest

from tasks.states import Status
from tasks.tests.crew import until
from tasks.uploads.tests.tus_client import BODY, CONTENT, TUS, encoded

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_options_tell_what_it_can(tus):
    for url in (tus.place, tus.new()):
        answer = tus.http.options(url)
        assert answer.status_code == 200
        assert {"POST", "PATCH", "HEAD", "DELETE"} <= set(answer.headers["Allow"].split(", "))
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
    for at, content in ((20, CONTENT[20:]), (5, CONTENT), (2**40, b"x")):
        answer = tus.patch(url, content, at=at)
        assert answer.status_code == 409, "also where it would go past the end"
        assert answer.headers["Upload-Offset"] == "10"
    assert tus.offset(url) == 10


def test_nothing_is_taken_past_the_length(tus):
    url = tus.new(10)
    assert tus.patch(url, b"x" * 11).status_code == 413
    assert tus.patch(url, iter([b"x" * 6, b"x" * 6])).status_code == 413
    assert tus.offset(url) == 0
    assert tus.patch(url, b"x" * 10).status_code == 204
    assert tus.patch(url, b"x", at=10).status_code == 403
    assert tus.patch(url, b"x", at=9).headers["Upload-Offset"] == "10"
    assert tus.patch(url, b"", at=10).status_code == 204, "it has nothing to add"
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
    headers = {**TUS, "X-HTTP-Method-Override": "HEAD"}
    assert tus.http.get(url, headers=headers).headers["Upload-Offset"] == str(len(CONTENT))
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
        old.settimeout(60)
        assert old.recv(100).startswith(b"HTTP/1.1 409")
    wanted = hashlib.sha256(b"a" * 2_000_000).hexdigest()
    assert tus.service.upload_at(url).sha256 == wanted


def test_pages_of_any_origin_may_send_but_nobody_elses_cookie_counts(tus, client, owner):
    url = tus.new()
    asked = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "upload-offset, tus-resumable, content-type",
    }
    told = tus.http.options(url, headers=asked).headers
    assert "PATCH" in told["Access-Control-Allow-Methods"]
    allowed = told["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"upload-offset", "tus-resumable", "content-type", "authorization"} <= set(allowed)
    for answer in (tus.head(url), tus.patch(url, b"x", at=7), tus.patch(url, CONTENT)):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Upload-Offset" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
    client.force_login(owner)
    cookie = {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}
    made = {**TUS, "Upload-Length": "5", "Origin": "https://elsewhere.example", **cookie}
    assert tus.http.post(tus.place, headers=made).status_code == 403


def test_who_is_disabled_sends_no_more(tus, owner):
    url = tus.new()
    tus.patch(url, CONTENT[:10])
    owner.is_active = False
    owner.save()
    assert tus.patch(url, CONTENT[10:], at=10).status_code == 404
    assert tus.head(url).status_code == 404


def test_what_has_arrived_whole_is_finished_by_whoever_asks(tus):
    """A process that died between its last byte and the end leaves a file that lacks nothing."""
    url = tus.new()
    tus.patch(url, CONTENT[:-1])
    with tus.service.file_of(url).open("ab") as file:
        file.write(CONTENT[-1:])
    assert tus.offset(url) == len(CONTENT)
    upload = tus.service.upload_at(url)
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert upload.task.status == Status.QUEUED


def test_a_whole_file_that_is_wrong_has_to_come_anew(tus):
    wanted = hashlib.sha256(CONTENT).hexdigest()
    url = tus.new(Upload_Metadata=encoded(job="toy-file", sha256=wanted))
    tus.patch(url, CONTENT[:-1])
    with tus.service.file_of(url).open("ab") as file:
        file.write(b"!")
    assert tus.offset(url) == 0
    assert tus.patch(url, CONTENT).status_code == 204
    assert tus.service.upload_at(url).sha256 == wanted
