"""tus 1.0: ending uploads, and joining files from parts."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from tasks.models import Task
from tasks.states import Status
from tasks.uploads.tests.tus_client import CONTENT, TUS, encoded

pytestmark = pytest.mark.django_db(transaction=True)


def test_delete_removes_what_is_complete_and_worked_on_too(tus):
    url = tus.new()
    tus.patch(url, CONTENT)
    path = tus.service.file_of(url)
    Task.objects.update(status=Status.SUCCEEDED)
    assert tus.http.delete(url, headers=TUS).status_code == 204
    assert not path.exists()
    assert tus.head(url).status_code == 410
    assert Task.objects.get().status == Status.SUCCEEDED


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
    assert join(tus, "/task/upload/nothing").status_code == 404
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
