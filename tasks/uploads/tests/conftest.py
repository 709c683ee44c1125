"""What tests of uploads share: clients of a real web process, and the files it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tasks.models import Upload
from tasks.tests import toys
from tasks.uploads import capability
from tasks.uploads.tests.tus_client import Tus
from tests.web import Web

assert toys  # registers the toy jobs


class Service:
    """The task service as its clients see it."""

    def __init__(self, web: Web, user) -> None:
        self.web, self.user = web, user
        self.http = web.client(user)
        self.nobody = web.client()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_) -> None:
        self.http.close()
        self.nobody.close()

    def ask(self, job: str = "toy-file", *, key: str = "", **body) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.http.post("/task/request", json={"job": job, **body}, headers=headers)

    def url(self, job: str = "toy-file", **body) -> str:
        answer = self.ask(job, **body)
        assert answer.status_code == 201, answer.text
        return answer.json()["upload_url"]

    def upload_at(self, url: str) -> Upload:
        return Upload.objects.select_related("task").get(
            pk=capability.opened(url.rsplit("/", 1)[1])
        )

    def file_of(self, url: str) -> Path:
        folder = self.web.log.parent / "uploads" / "incoming"
        return folder / self.upload_at(url).pk.hex


@pytest.fixture
def service(web, owner) -> Iterator[Service]:
    with Service(web, owner) as made:
        yield made


@pytest.fixture
def tus(service) -> Tus:
    return Tus(service)
