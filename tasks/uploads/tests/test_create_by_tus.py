"""tus 1.0: making uploads, with bytes or without, of a size told later, for a time."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from tasks.models import Upload
from tasks.uploads.tests.tus_client import CONTENT, TUS, checksum, encoded

pytestmark = pytest.mark.django_db(transaction=True)


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


@pytest.mark.parametrize("size", [2**50, 2**70])
def test_what_is_too_large_is_not_created(tus, size):
    answer = tus.create(Upload_Length=str(size))
    assert answer.status_code == 413
    assert not Upload.objects.exists()


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (400, {"Upload_Checksum": "sha1"}),
        (400, {"Host": "elsewhere.example"}),
        (413, {"Upload_Length": "3"}),
    ],
)
def test_what_is_known_to_be_wrong_makes_no_upload(tus, status, headers):
    told = {"Upload_Length": "5", **headers}
    assert tus.create(content=b"12345", **told).status_code == status
    assert not Upload.objects.exists()


def test_where_first_bytes_are_refused_the_upload_is_there(tus):
    answer = tus.create(
        Upload_Length="5", content=b"12345", Upload_Checksum=checksum("sha1", b"other")
    )
    assert answer.status_code == 460
    url = answer.headers["Location"]
    assert tus.offset(url) == 0
    assert tus.patch(url, b"12345").status_code == 204


def test_the_same_creation_again_is_the_same_upload(tus):
    made = [
        tus.create(Upload_Length="5", content=b"12345", Idempotency_Key="once") for _ in range(2)
    ]
    assert [answer.status_code for answer in made] == [201, 201]
    assert {answer.headers["Upload-Offset"] for answer in made} == {"5"}
    assert len({answer.headers["Location"] for answer in made}) == 1


def test_metadata_may_be_any_bytes_but_what_is_ours_is_text(tus):
    raw = base64.b64encode(b"\xff\xfe").decode()
    url = tus.new(Upload_Metadata=f"{encoded(job='toy-file')},thumbnail {raw}")
    assert f"thumbnail {raw}" in tus.head(url).headers["Upload-Metadata"]
    assert tus.create(Upload_Length="5", Upload_Metadata=f"filename {raw}").status_code == 400


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
    assert tus.patch(url, CONTENT[10:20], at=9, Upload_Length="4000").status_code == 409
    told = tus.patch(url, CONTENT[10:20], at=10, Upload_Length=str(len(CONTENT)))
    assert told.status_code == 204
    assert "Upload-Defer-Length" not in tus.head(url).headers
    assert tus.patch(url, b"", at=20, Upload_Length="99").status_code == 400
    assert tus.patch(url, CONTENT[20:], at=20).status_code == 204
    assert tus.service.upload_at(url).complete


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
