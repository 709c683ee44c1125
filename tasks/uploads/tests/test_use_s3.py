"""Files kept in S3: sent by us or to S3 itself, fetched by workers, results, and what is swept."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from botocore.config import Config
from django.core.files.storage import storages
from django.utils import timezone

from backups.tests.faulty_proxy import PASS, FaultyProxy
from tasks.models import Upload, UploadLimit
from tasks.states import Status
from tasks.tests.crew import Work, crew
from tasks.uploads import direct, sweeping
from tasks.uploads.tests.conftest import Service
from tasks.uploads.tests.tus_client import CONTENT, Tus
from tests.seaweed import S3Place
from tests.web import web_process

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = bytes(range(256)) * ((17 << 20) // 256)  # two parts


@pytest.fixture(scope="module")
def place(s3_server) -> S3Place:
    return s3_server.place()


@pytest.fixture(scope="module")
def environment(place) -> dict[str, str]:
    return {
        "FILE_STORAGE": "s3",
        "FILE_S3_BUCKET": place.bucket,
        "FILE_S3_PREFIX": place.prefix,
        "FILE_S3_ENDPOINT": place.options["endpoint"],
        "FILE_S3_ACCESS_KEY": place.options["access_key"],
        "FILE_S3_SECRET_KEY": place.secret,
    }


@pytest.fixture(scope="module")
def s3_web(django_db_setup, django_db_blocker, environment, tmp_path_factory):
    with web_process(tmp_path_factory.mktemp("web"), **environment) as running:
        yield running


@pytest.fixture
def workers(transactional_db, environment, tmp_path):
    """On another disk than the web process: they meet in S3 alone."""
    with crew(tmp_path, workers=1, **environment) as running:
        yield running


@pytest.fixture
def service(s3_web, owner) -> Iterator[Service]:
    with Service(s3_web, owner) as made:
        yield made


@pytest.fixture
def here(settings, place, tmp_path):
    """The same storage in this process."""
    options = {
        "bucket_name": place.bucket,
        "endpoint_url": place.options["endpoint"],
        "location": place.prefix,
        "access_key": place.options["access_key"],
        "secret_key": place.secret,
        "client_config": Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
        ),
    }
    files = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "files": files}
    settings.UPLOAD_DIR = tmp_path
    assert storages["files"].bucket_name == place.bucket


def ask(service: Service, content: bytes = LARGE, **body) -> dict:
    answer = service.ask(direct=True, size=len(content), **body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def send(told: dict, content: bytes, *, without: int | None = None) -> None:
    for part in told["parts"]:
        if part["number"] != without:
            piece = content[part["offset"] : part["offset"] + part["length"]]
            assert httpx.put(part["url"], content=piece, timeout=60).status_code == 200


def complete(service: Service, told: dict) -> httpx.Response:
    return service.nobody.post(told["complete_url"])


def row_of(told: dict) -> Upload:
    return Upload.objects.select_related("task").get(task=told["id"])


def key_of(told: dict) -> str:
    return f"incoming/{row_of(told).pk.hex}"


def test_it_works(service, workers, place):
    told = ask(service, sha256=hashlib.sha256(LARGE).hexdigest(), filename="large.bin")
    assert [(part["offset"], part["length"]) for part in told["parts"]] == [
        (0, 16 << 20),
        (16 << 20, 1 << 20),
    ]
    send(told, LARGE)
    assert key_of(told) not in place.names()  # an object that is there is whole
    done = complete(service, told)
    assert (done.status_code, done.json()["status"]) == (202, "queued")

    assert Work(row_of(told).task).ends(40).status == Status.SUCCEEDED
    assert row_of(told).sha256 == hashlib.sha256(LARGE).hexdigest()
    assert service.http.get(told["result_url"]).content == LARGE[::-1]
    assert complete(service, told).status_code == 409


def test_parts_that_are_missing_can_be_sent_again(service, place):
    told = ask(service)
    send(told, LARGE, without=2)
    refused = complete(service, told)
    assert refused.status_code == 422
    assert "Part 2" in refused.json()["detail"]
    assert key_of(told) not in place.names()
    send(told, LARGE, without=1)
    assert complete(service, told).status_code == 202
    assert place.content(key_of(told)) == LARGE


def test_a_completion_that_was_cut_short_goes_on(service, place):
    told = ask(service)
    send(told, LARGE)
    assert complete(service, told).status_code == 202
    Upload.objects.filter(task=told["id"]).update(completed_at=None)  # as though we had died
    row_of(told).task.__class__.objects.filter(pk=told["id"]).update(status=Status.UPLOADING)
    assert complete(service, told).status_code == 202


def test_another_hash_than_was_announced_fails_the_task(service, workers):
    told = ask(service, CONTENT, sha256="0" * 64)
    send(told, CONTENT)
    assert complete(service, told).status_code == 202
    task = Work(row_of(told).task).ends()
    assert task.status == Status.FAILED
    assert "SHA-256 differs" in task.error
    assert task.attempt == 1


def test_a_type_that_is_not_taken_is_removed_and_may_be_sent_anew(service, place):
    picture = b"\x89PNG\r\n\x1a\n" + bytes(100)
    told = ask(service, picture, job="profile", key="again")
    send(told, picture)
    assert complete(service, told).status_code == 415
    assert key_of(told) not in place.names()
    again = ask(service, picture, job="profile", key="again")
    assert again["id"] == told["id"]
    assert again["parts"][0]["url"] != told["parts"][0]["url"]


@pytest.mark.parametrize("way", ["cancelled", "expired"])
def test_what_is_given_up_is_aborted(service, place, here, owner, way):
    told = ask(service)
    send(told, LARGE, without=2)
    assert key_of(told) in place.uploads()
    if way == "cancelled":
        service.http.post(told["cancel_url"])
    else:
        past = timezone.now() - timedelta(hours=1)
        Upload.objects.filter(task=told["id"]).update(expires_at=past)
    assert complete(service, told).status_code == 410
    sweeping.sweep()
    assert key_of(told) not in place.uploads()
    put = httpx.put(told["parts"][1]["url"], content=LARGE[16 << 20 :])
    assert put.status_code == 404
    assert row_of(told).gone_at is not None


def test_an_address_takes_its_own_part_alone(service):
    told = ask(service)
    url = told["parts"][0]["url"]
    assert httpx.put(url.replace("partNumber=1", "partNumber=2"), content=b"x").status_code == 403
    assert httpx.get(url).status_code == 403


def test_a_stranger_has_neither_parts_nor_completion(service, s3_web, stranger):
    told = ask(service)
    wrong = told["complete_url"].replace("/complete", "x/complete")
    assert service.nobody.post(wrong).status_code == 404
    assert service.nobody.get(told["complete_url"]).status_code == 405


@pytest.mark.parametrize(("body", "field"), [({}, "size"), ({"size": 0}, "size")])
def test_the_size_must_be_known(service, body, field):
    answer = service.ask(direct=True, **body)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]


def test_the_limits_are_the_same(service, place):
    assert service.ask(direct=True, size=10**15).status_code == 413
    UploadLimit.objects.create(user=service.user, max_bytes=len(CONTENT), types=["image/*"])
    assert service.ask(direct=True, size=len(CONTENT) + 1).status_code == 413
    told = ask(service, CONTENT)
    send(told, CONTENT)
    refused = complete(service, told)
    assert refused.status_code == 415
    assert "you may send only image/*" in refused.json()["detail"]
    assert key_of(told) not in place.names()


def test_files_that_we_take_go_to_s3_and_results_come_from_it(service, workers, place):
    told = service.ask(filename="a.bin").json()
    assert service.nobody.post(told["upload_url"], content=CONTENT).status_code == 202
    task = Work(row_of(told).task).ends()
    assert task.status == Status.SUCCEEDED
    assert place.content(key_of(told)) == CONTENT
    whole = service.http.get(told["result_url"])
    assert whole.content == CONTENT[::-1]
    some = service.http.get(told["result_url"], headers={"Range": "bytes=5-9"})
    assert (some.status_code, some.content) == (206, CONTENT[::-1][5:10])


def test_results_may_be_fetched_from_s3_itself(workers, environment, owner, tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    with (
        web_process(folder, **environment, RESULT_REDIRECT="true") as web,
        Service(web, owner) as service,
    ):
        told = service.ask(filename="a.bin").json()
        service.nobody.post(told["upload_url"], content=CONTENT)
        Work(row_of(told).task).ends()
        answer = service.http.get(told["result_url"])
        assert answer.status_code == 302
        there = httpx.get(answer.headers["Location"])
        assert (there.status_code, there.content) == (200, CONTENT[::-1])
        assert "attachment" in there.headers["Content-Disposition"]


def test_where_files_are_on_local_disk_there_is_no_direct_way(web, owner):
    with Service(web, owner) as local:
        answer = local.ask(direct=True, size=5)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["direct"]


def test_parts_grow_with_the_file():
    for size in (1, 16 << 20, 20 << 30, 5 << 40):
        plan = list(direct._plan(size))
        assert len(plan) <= direct.MOST_PARTS
        assert sum(length for *_, length in plan) == size
        assert [offset for _, offset, _ in plan[1:]] == [o + n for _, o, n in plan[:-1]]


def test_while_s3_is_away_all_bytes_stay_and_whoever_asks_next_brings_them_there(
    environment, place, owner, tmp_path
):
    """Clients take a refused HEAD for the end of an upload, but not a 423."""
    with FaultyProxy(place.options["endpoint"]) as proxy:
        proxy.judge = lambda head: "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
        away = {**environment, "FILE_S3_ENDPOINT": proxy.endpoint}
        with web_process(tmp_path, **away) as web, Service(web, owner) as service:
            tus = Tus(service)
            url = tus.new()
            refused = tus.patch(url, CONTENT)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
            assert "storage" in refused.json()["detail"]
            assert tus.head(url).status_code == 423
            proxy.judge = lambda head: PASS
            assert tus.offset(url) == len(CONTENT)
            upload = service.upload_at(url)
            assert upload.complete
            assert place.content(f"incoming/{upload.pk.hex}") == CONTENT


def test_who_asks_while_a_file_goes_to_s3_waits_for_it(environment, place, owner, tmp_path):
    with FaultyProxy(place.options["endpoint"]) as proxy:
        asked, gate = threading.Event(), threading.Event()

        def slow(head: bytes) -> str:
            asked.set()
            gate.wait(60)
            return PASS

        proxy.judge = slow
        away = {**environment, "FILE_S3_ENDPOINT": proxy.endpoint}
        with web_process(tmp_path, **away) as web, Service(web, owner) as service:
            tus = Tus(service)
            url = tus.new()
            with ThreadPoolExecutor() as pool:
                sent = pool.submit(tus.patch, url, CONTENT)
                assert asked.wait(60)
                told = pool.submit(tus.head, url)
                time.sleep(0.5)
                assert not told.done()
                gate.set()
                assert sent.result().status_code == 204, "it was not ended by who only asked"
                assert told.result().headers["Upload-Offset"] == str(len(CONTENT))
            assert service.upload_at(url).complete
