"""What an administrator limits is refused at every door, before the bytes where that can be."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.db import connection

from accounts.models import Role, Team
from tasks.models import Task, Upload, UploadLimit
from tasks.states import Status
from tasks.tests.crew import until
from tasks.uploads.tests.conftest import Service
from tasks.uploads.tests.tus_client import Tus, encoded

pytestmark = pytest.mark.django_db(transaction=True)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


def limit(**row) -> UploadLimit:
    """As the admin saves it."""
    made = UploadLimit(**row)
    made.full_clean()
    made.save()
    return made


@pytest.fixture
def tus(service) -> Tus:
    return Tus(service)


def creation(tus: Tus, size: int | None, job: str = "toy-file") -> httpx.Response:
    told = {"Upload-Defer-Length": "1"} if size is None else {"Upload-Length": str(size)}
    return tus.create(**told, Upload_Metadata=encoded(job=job, filename="a.txt"))


DOORS = {
    "request": lambda tus, size, job="toy-file": tus.service.ask(job, size=size),
    "tus": creation,
}
each_door = pytest.mark.parametrize("ask", DOORS.values(), ids=DOORS)


def test_it_works(service):
    limit(user=service.user, max_bytes=100)
    told = service.ask(size=101)
    assert told.status_code == 413
    assert "larger than the 100 bytes that you may send" in told.json()["detail"]
    assert "Send a smaller one" in told.json()["detail"]
    url = service.url(size=100)
    assert service.nobody.post(url, content=b"a" * 100).status_code == 202


# The size of a file -----------------------------------------------------------------------------


@each_door
@pytest.mark.parametrize("whose", ["user", "role", "role in the team", "job"])
def test_a_size_is_refused_before_a_byte_is_sent(tus, team, whose, ask):
    rows = {
        "user": {"user": tus.service.user},
        "role": {"role": Role.ADMIN},
        "role in the team": {"role": Role.ADMIN, "team": team},
        "job": {"job": "toy-file"},
    }
    limit(**rows[whose], max_bytes=100)
    told = ask(tus, 101)
    assert told.status_code == 413
    whose_is_it = "“Toy: file” takes" if whose == "job" else "you may send"
    assert f"larger than the 100 bytes that {whose_is_it}" in told.json()["detail"]
    assert not Task.objects.exists()
    assert ask(tus, 100).status_code == 201


def test_limits_of_others_hold_for_others(service, mate):
    limit(user=mate, max_bytes=1)
    limit(role=Role.OPERATOR, max_bytes=2)
    limit(role=Role.ADMIN, team=Team.objects.create(name="Elsewhere"), max_bytes=3)
    limit(job="toy-text", max_bytes=4)
    assert service.ask(size=1000).status_code == 201
    with Service(service.web, mate) as other:
        assert other.ask(size=2).status_code == 413
        assert other.ask(size=1).status_code == 201


def test_a_superuser_is_held_to_what_admins_are(service, superuser):
    limit(role=Role.ADMIN, max_bytes=100)
    with Service(service.web, superuser) as root:
        assert root.ask(size=101).status_code == 413


def test_a_user_may_be_allowed_more_than_others(service, mate):
    limit(role=Role.ADMIN, max_bytes=10)
    limit(user=service.user, max_bytes=30 << 30)  # more than the service's own
    assert service.ask(size=25 << 30).status_code == 201
    assert int(Tus(service).http.options("/task/upload/").headers["Tus-Max-Size"]) == 30 << 30


def test_a_size_that_was_not_announced_is_refused_before_the_body(service):
    limit(user=service.user, max_bytes=100)
    url = service.url()
    with socket.create_connection(service.web.netloc.split(":")) as wire:
        path = url.removeprefix(service.web.url)
        head = f"POST {path} HTTP/1.1\r\nHost: {service.web.netloc}\r\n"
        wire.sendall(f"{head}Content-Length: 101\r\nExpect: 100-continue\r\n\r\n".encode())
        assert wire.recv(100).startswith(b"HTTP/1.1 413")
    assert service.nobody.post(url, content=b"a" * 100).status_code == 202


def test_a_size_that_nobody_tells_is_refused_with_the_byte_that_is_too_much(service):
    limit(user=service.user, max_bytes=3_000_000)
    url = service.url()
    told = service.nobody.post(url, content=(b"a" * 100_000 for _ in range(100)))
    assert told.status_code == 413
    assert "3000000 bytes (2.9 MB) that you may send" in told.json()["detail"]
    assert service.file_of(url).stat().st_size == 0
    assert service.nobody.post(url, content=iter([b"a" * 3_000_000])).status_code == 202


def test_a_form_is_held_to_the_limit_and_its_person_reads_why(service):
    limit(user=service.user, max_bytes=100)
    url = service.url()
    files = {"file": ("a.txt", b"a" * 101)}
    told = service.nobody.post(url, files=files, headers={"Accept": "text/html"})
    assert told.status_code == 413
    assert "larger than the 100 bytes that you may send" in told.text
    assert "The file was not taken" in told.text


def test_a_length_that_is_told_later_is_held_to_the_limit(tus):
    limit(user=tus.service.user, max_bytes=100)
    url = creation(tus, None).headers["Location"]
    assert tus.patch(url, b"a" * 60).status_code == 204
    assert tus.patch(url, b"", at=60, Upload_Length="101").status_code == 413
    assert tus.patch(url, b"a" * 41, at=60).status_code == 413
    assert tus.patch(url, iter([b"a" * 41]), at=60).status_code == 413
    assert tus.offset(url) == 60, "what had come before stays"
    assert tus.patch(url, b"a" * 40, at=60, Upload_Length="100").status_code == 204
    assert tus.service.upload_at(url).complete


def test_what_was_accepted_may_still_come(tus):
    known, unknown = tus.new(1000), creation(tus, None).headers["Location"]
    limit(user=tus.service.user, max_bytes=100)
    assert tus.patch(known, b"a" * 500).status_code == 204
    assert tus.patch(known, b"a" * 500, at=500).status_code == 204
    assert tus.patch(unknown, b"a" * 101).status_code == 413


def test_who_asks_again_for_what_was_accepted_gets_it(service):
    asked = service.ask(key="k", size=1000).json()
    limit(user=service.user, max_bytes=100, sessions=0)
    again = service.ask(key="k", size=1000)
    assert (again.status_code, again.json()) == (200, asked)
    assert service.ask(key="l", size=1000).status_code == 403


# The quota --------------------------------------------------------------------------------------


@each_door
def test_a_quota_counts_what_was_announced(tus, ask):
    limit(user=tus.service.user, quota_bytes=1000)
    tus.service.url(size=600)
    told = ask(tus, 500)
    assert told.status_code == 413
    assert "would take 1100 bytes, of the 1000 bytes you may use" in told.json()["detail"]
    assert ask(tus, 400).status_code == 201
    assert ask(tus, None).status_code == 413, "there is no room for a single byte"
    assert ask(tus, 0).status_code == 201


def test_what_has_gone_makes_room(service):
    limit(role=Role.ADMIN, quota_bytes=1000)
    asked = service.ask(size=1000).json()
    assert service.ask(size=1).status_code == 413
    service.http.post(asked["cancel_url"])
    Upload.objects.update(gone_at="2026-01-01T00:00:00Z")  # as the sweeper does
    assert service.ask(size=1000).status_code == 201


def test_a_quota_holds_for_files_whose_size_nobody_tells(tus):
    limit(user=tus.service.user, quota_bytes=1000)
    service, whole = tus.service, tus.service.url()
    deferred = creation(tus, None).headers["Location"]
    service.url(size=600)
    for content in (b"a" * 401, iter([b"a" * 401])):
        told = service.nobody.post(whole, content=content)
        assert told.status_code == 413
        assert "of the 1000 bytes you may use" in told.json()["detail"]
    assert tus.patch(deferred, b"a" * 300).status_code == 204
    assert tus.patch(deferred, b"", at=300, Upload_Length="401").status_code == 413
    assert tus.patch(deferred, b"", at=300, Upload_Length="400").status_code == 204
    assert service.nobody.post(whole, content=b"a").status_code == 413
    assert service.nobody.post(whole, content=b"").status_code == 202


def test_room_that_was_made_meanwhile_is_used(service):
    limit(user=service.user, quota_bytes=3_000_000)
    url, first = service.url(), service.ask(size=2_000_000).json()
    came = threading.Event()

    def body():
        yield b"a" * 900_000
        until(lambda: service.upload_at(url).offset == 900_000)
        service.http.post(first["cancel_url"])
        Upload.objects.filter(task=first["id"]).update(gone_at="2026-01-01T00:00:00Z")
        came.set()
        yield b"a" * 2_000_000

    assert service.nobody.post(url, content=body()).status_code == 202
    assert came.is_set()
    assert service.upload_at(url).size == 2_900_000


def test_two_of_unknown_size_do_not_get_the_same_room(service):
    limit(user=service.user, quota_bytes=1000)
    urls = [service.url(), service.url()]
    both = threading.Barrier(2)

    def send(url: str) -> int:
        def body():
            yield b"a"
            until(lambda: service.upload_at(url).offset == 1)
            connection.close()  # this thread's own
            both.wait(20)  # each has been told that there is room
            yield b"a" * 600

        with service.web.client() as client:
            return client.post(url, content=body()).status_code

    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(send, urls))
    assert 413 in statuses
    assert sum(service.upload_at(url).size or 0 for url in urls) <= 1000


def test_who_ask_at_once_do_not_get_the_same_room(service):
    limit(user=service.user, quota_bytes=1000)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: at_once(service, size=1000), range(16)))
    assert sorted(statuses) == [201] + [413] * 15


def at_once(service, **body) -> int:
    with service.web.client(service.user) as client:
        return client.post("/task/request", json={"job": "toy-file", **body}).status_code


# Open uploads -----------------------------------------------------------------------------------


@each_door
def test_only_so_many_are_open_at_once(tus, ask):
    limit(role=Role.ADMIN, sessions=2)
    first = tus.service.url(size=3)
    assert ask(tus, 1).status_code == 201
    told = ask(tus, 1)
    assert told.status_code == 429
    assert int(told.headers["Retry-After"]) > 0
    assert "You have 2 uploads open" in told.json()["detail"]
    assert tus.http.post(first, content=b"abc").status_code == 202
    assert ask(tus, 1).status_code == 201


def test_who_begin_at_once_do_not_get_the_same_place(service):
    limit(user=service.user, sessions=3)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: at_once(service), range(16)))
    assert sorted(statuses) == [201] * 3 + [429] * 13


@each_door
@pytest.mark.parametrize(
    ("row", "status"), [({"sessions": 0}, 403), ({"max_bytes": 0}, 413), ({"quota_bytes": 0}, 413)]
)
def test_nothing_at_all_is_said_as_such(tus, ask, row, status):
    limit(user=tus.service.user, **row)
    for size in (None, 0, 1):
        told = ask(tus, size)
        assert told.status_code == status
        assert "You may send no files here" in told.json()["detail"]
        assert "Retry-After" not in told.headers, "waiting helps nobody"


# Types ------------------------------------------------------------------------------------------


def test_the_content_decides_which_type_it_is(service):
    limit(user=service.user, types=["text/csv", "image/*"])
    url = service.url(filename="harmless.png")
    told = service.nobody.post(url, content=b"%PDF-1.7\n" + bytes(100_000))
    assert told.status_code == 415
    assert "application/pdf; you may send only text/csv, image/*" in told.json()["detail"]
    assert service.nobody.post(url, content=PNG).status_code == 202


def test_a_type_is_refused_before_all_has_come(tus):
    limit(role=Role.ADMIN, types=["image/*"])
    url = tus.new(1_000_000)
    told = tus.patch(url, b"only text " * 10_000)
    assert told.status_code == 415
    assert tus.offset(url) == 0


def test_a_type_has_to_please_user_and_job(service):
    limit(user=service.user, types=["text/csv", "image/*"])
    url = service.url("toy-text", filename="a.csv")  # takes text/*
    assert service.nobody.post(url, content=PNG).status_code == 415
    assert service.nobody.post(url, content=b"a,b\n").status_code == 202
    limit(job="toy-file", types=["image/png"])
    told = service.nobody.post(service.url(filename="a.csv"), content=b"a,b\n")
    assert told.status_code == 415
    assert told.json()["detail"] == "The file is text/csv; taken are image/png."


@each_door
def test_where_no_type_can_please_both_nothing_is_begun(tus, ask):
    limit(user=tus.service.user, types=["image/*"])
    told = ask(tus, None, "toy-text")
    assert told.status_code == 415
    assert "“Toy: text” takes text/*, and you may send only image/*" in told.json()["detail"]


# Files joined from parts ------------------------------------------------------------------------


def sent(tus: Tus, content: bytes) -> str:
    url = tus.create(Upload_Length=str(len(content)), Upload_Concat="partial").headers["Location"]
    assert tus.patch(url, content).status_code == 204
    return url


def joined(tus: Tus, *parts: str) -> httpx.Response:
    return tus.create(Upload_Concat=f"final;{' '.join(parts)}")


def test_a_joined_file_takes_the_place_of_its_parts(tus):
    limit(user=tus.service.user, quota_bytes=1000)
    parts = [sent(tus, b"a" * 500), sent(tus, b"a" * 500)]
    assert joined(tus, *parts).status_code == 201
    assert joined(tus, *parts).status_code == 413, "that is a file more"


def test_a_joined_file_is_held_to_size_and_type(tus):
    parts = [sent(tus, PNG), sent(tus, PNG)]
    row = limit(user=tus.service.user, max_bytes=2 * len(PNG) - 1, types=["image/*"])
    assert tus.create(Upload_Length="1000", Upload_Concat="partial").status_code == 413
    assert joined(tus, *parts).status_code == 413
    UploadLimit.objects.filter(pk=row.pk).update(max_bytes=1000)
    assert joined(tus, *parts).status_code == 201
    UploadLimit.objects.filter(pk=row.pk).update(types=["text/*"])
    assert joined(tus, *parts).status_code == 415


def test_parts_are_open_uploads_too(tus):
    limit(user=tus.service.user, sessions=1)
    part = tus.create(Upload_Length="10", Upload_Concat="partial")
    assert tus.create(Upload_Length="10", Upload_Concat="partial").status_code == 429
    assert tus.service.ask().status_code == 429
    assert tus.patch(part.headers["Location"], b"a" * 10).status_code == 204
    assert joined(tus, part.headers["Location"]).status_code == 201


# Told beforehand --------------------------------------------------------------------------------


def test_the_list_of_jobs_says_what_its_reader_may_send(service, mate):
    limit(user=service.user, max_bytes=1000, quota_bytes=5000, sessions=7)
    limit(job="toy-text", types=["text/csv"])
    limit(role=Role.OPERATOR, types=["image/*"])
    service.url(size=30)
    told = {job["name"]: job for job in service.http.get("/api/jobs/").json()}
    own = {name: told["toy-text"][name] for name in told["toy-text"] if name not in ("options",)}
    assert own == {
        "name": "toy-text",
        "title": "Toy: text",
        "types": ["text/csv"],
        "max_bytes": 1000,
        "quota_bytes": 5000,
        "used_bytes": 30,
        "sessions": 7,
        "open_sessions": 1,
        "refusal": None,
        "max_attempts": 3,
    }
    assert told["toy-file"]["types"] == []
    assert service.http.get("/api/jobs/toy-text/").json() == told["toy-text"]
    with service.web.client(mate) as other:
        theirs = {job["name"]: job for job in other.get("/api/jobs/").json()}
    assert theirs["toy-file"]["types"] == ["image/*"]
    assert theirs["toy-file"]["used_bytes"] == 0
    assert theirs["toy-text"]["types"] == []
    assert "you may send only image/*" in theirs["toy-text"]["refusal"]


def test_who_may_send_nothing_reads_why(service, viewer):
    with service.web.client(viewer) as client:
        told = client.get("/api/jobs/toy-file/").json()
    assert "takes the role operator" in told["refusal"]


def test_options_tell_the_largest_file_of_the_service(tus):
    before = int(tus.http.options(tus.place).headers["Tus-Max-Size"])
    limit(user=tus.service.user, max_bytes=10)
    limit(job="toy-file", max_bytes=before * 2)
    assert int(tus.http.options(tus.place).headers["Tus-Max-Size"]) == before


def test_what_is_refused_leaves_nothing_behind(tus):
    limit(user=tus.service.user, max_bytes=10, sessions=1)
    for ask in DOORS.values():
        ask(tus, 11)
    tus.service.url()
    for ask in DOORS.values():
        ask(tus, 1)
    assert Task.objects.get().status == Status.AWAITING_UPLOAD
    assert Upload.objects.count() == 1
