"""From the file to the result: real workers, real downloads, and what is swept when it is over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tasks.models import Artifact, Task, Upload
from tasks.states import Status
from tasks.tests.crew import Crew, Work, crew
from tasks.uploads import sweeping
from tasks.uploads.tests.conftest import Service

pytestmark = pytest.mark.django_db(transaction=True)

CONTENT = bytes(range(256)) * 40
REVERSED = CONTENT[::-1]


@pytest.fixture(scope="module")
def workers(web, django_db_blocker) -> Iterator[Crew]:
    """They share the web process's disk."""
    with django_db_blocker.unblock(), crew(web.log.parent, workers=2) as running:
        yield running


@pytest.fixture
def here(web, settings):
    """Sweeping in this process finds the web process's files."""
    settings.UPLOAD_DIR = web.log.parent / "uploads"
    storage = {**settings.STORAGES["files"], "OPTIONS": {"location": str(settings.UPLOAD_DIR)}}
    settings.STORAGES = {**settings.STORAGES, "files": storage}
    return settings.UPLOAD_DIR


@pytest.fixture
def done(service, workers) -> Task:
    """A task that has brought one file."""
    return run(service)


def run(service: Service, **options) -> Task:
    asked = service.ask(filename="list.bin", options=options).json()
    assert service.nobody.post(asked["upload_url"], content=CONTENT).status_code == 202
    return Work(Task.objects.get(pk=asked["id"])).ends()


def fetch(service: Service, task: Task, query: str = "", **headers: str):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.http.get(f"/task/result/{task.pk}{query}", headers=headers)


def test_it_works(service, done):
    assert done.status == Status.SUCCEEDED, done.error
    answer = fetch(service, done)
    assert answer.status_code == 200
    assert answer.content == REVERSED
    assert answer.headers["Content-Length"] == str(len(REVERSED))
    assert "copy-0-list.bin" in answer.headers["Content-Disposition"]
    assert answer.headers["ETag"] == f'"{hashlib.sha256(REVERSED).hexdigest()}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_head_tells_of_the_file_and_reads_nothing_of_it(service, done):
    key = Artifact.objects.get(task=done).key
    (service.web.log.parent / "uploads" / key).write_bytes(
        b""
    )  # what is read of it would be too short
    whole = service.http.head(f"/task/result/{done.pk}")
    part = service.http.head(f"/task/result/{done.pk}", headers={"Range": "bytes=2-5"})
    assert (whole.status_code, whole.headers["Content-Length"]) == (200, str(len(REVERSED)))
    assert (part.status_code, part.headers["Content-Length"]) == (206, "4")
    assert part.headers["Content-Range"] == f"bytes 2-5/{len(REVERSED)}"
    assert whole.content == part.content == b""


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=10000-", 10000, None),
        ("bytes=-10", -10, None),
        ("bytes=10200-99999", 10200, None),
    ],
)
def test_a_range_is_given(service, done, asked, start, end):
    answer = fetch(service, done, Range=asked)
    assert answer.status_code == 206
    assert answer.content == REVERSED[start:end]
    first = start % len(REVERSED)
    last = first + len(answer.content) - 1
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(REVERSED)}"


def test_a_range_that_is_not_there_is_told_and_nonsense_is_passed_over(service, done):
    for asked in ("bytes=99999-", "bytes=-0"):
        answer = fetch(service, done, Range=asked)
        assert answer.status_code == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(REVERSED)}"
    for asked in ("bytes=", "lines=1-2", "bytes=5-1", "bytes=0-1,5-6"):
        assert fetch(service, done, Range=asked).status_code == 200


def test_a_range_may_have_any_number_of_digits(service, done):
    for asked, status in ((f"bytes={'9' * 5000}-", 416), (f"bytes=9-{'9' * 5000}", 206)):
        assert fetch(service, done, Range=asked).status_code == status
    assert fetch(service, done, Range=f"bytes=-{'9' * 5000}").content == REVERSED


def test_a_range_of_what_has_changed_is_the_whole(service, done):
    assert fetch(service, done, Range="bytes=0-9", If_Range='"other"').status_code == 200
    etag = fetch(service, done).headers["ETag"]
    assert fetch(service, done, Range="bytes=0-9", If_Range=etag).status_code == 206
    assert fetch(service, done, If_None_Match=etag).status_code == 304


def test_several_files_are_listed_and_each_can_be_fetched(service, workers):
    task = run(service, copies=2)
    listed = fetch(service, task).json()
    assert listed["size"] == len(CONTENT)
    assert [each["name"] for each in listed["artifacts"]] == [
        "copy-0-list.bin",
        "copy-1-list.bin",
    ]
    assert service.http.get(listed["artifacts"][1]["url"]).content == REVERSED
    assert fetch(service, task, "?artifact=copy-0-list.bin").content == REVERSED
    assert fetch(service, task, "?artifact=no").status_code == 400


def test_json_is_given_to_who_wants_nothing_else(service, done):
    answer = fetch(service, done, Accept="application/json")
    assert answer.json()["size"] == len(CONTENT)
    assert answer.json()["artifacts"][0]["sha256"] == hashlib.sha256(REVERSED).hexdigest()


def test_what_is_not_yours_is_not_there(service, done, stranger, mate):
    with service.web.client(stranger) as other:
        assert other.get(f"/task/result/{done.pk}").status_code == 404
    with service.web.client(mate) as other:
        assert other.get(f"/task/result/{done.pk}").status_code == 200
    assert service.nobody.get(f"/task/result/{done.pk}").status_code == 401


def test_an_attempt_that_fails_leaves_nothing(service, workers, here):
    task = run(service, fail=1)
    assert (task.status, task.attempt) == (Status.SUCCEEDED, 2)
    assert fetch(service, task).content == REVERSED
    assert [artifact.attempt for artifact in Artifact.objects.all()] == [2]
    assert [path.name for path in (here / "results" / str(task.pk)).iterdir()] == ["2-1"]


def test_a_result_expires_and_says_when(service, done, here):
    Artifact.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    answer = fetch(service, done)
    assert answer.status_code == 410
    assert "expired at 20" in answer.json()["detail"]
    sweeping.sweep()
    assert not (here / "results" / str(done.pk)).exists()
    assert fetch(service, done).status_code == 410
    assert fetch(service, done, Accept="application/json").status_code == 200


def test_a_json_result_expires_too_and_is_forgotten(service, done, here, settings):
    week = timedelta(seconds=settings.RESULT_EXPIRES_SECONDS)
    Task.objects.update(finished_at=datetime.now(UTC) - week - timedelta(seconds=1))
    answer = fetch(service, done, Accept="application/json")
    assert answer.status_code == 410
    assert "expired at 20" in answer.json()["detail"]
    sweeping.sweep()
    done.refresh_from_db()
    assert done.result is None
    assert fetch(service, done, Accept="application/json").status_code == 410


def test_a_file_goes_once_its_task_has_succeeded(service, done, here):
    upload = Upload.objects.get(task=done)
    path = here / "incoming" / upload.pk.hex
    assert path.exists()
    sweeping.sweep()
    assert not path.exists()
    upload.refresh_from_db()
    assert upload.gone_at is not None


def test_a_file_that_is_not_sent_in_time_expires(service, here):
    asked = service.ask(size=10).json()
    Upload.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    sweeping.sweep()
    task = Task.objects.get(pk=asked["id"])
    assert task.status == Status.EXPIRED
    assert "wasn't sent in time" in task.error
    assert service.nobody.post(asked["upload_url"], content=b"0123456789").status_code == 410
    assert fetch(service, task).status_code == 410


def test_no_result_says_why(service, workers):
    asked = service.ask().json()
    waiting = service.http.get(asked["result_url"])
    assert waiting.status_code == 409
    assert waiting.json()["task"]["status"] == "awaiting_upload"
