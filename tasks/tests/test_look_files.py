"""The pages of files: forms made from schemas, who may send, who sees what, and no script."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from tasks.models import Artifact, Task, Upload
from tasks.registry import Intake, Job
from tasks.states import Status
from tasks.uploads import capability, sessions
from tasks.views.forms import OptionsForm, OrderForm

pytestmark = pytest.mark.django_db(transaction=True)

SCHEMA = {
    "properties": {
        "format": {"type": "string", "enum": ["a", "b"], "default": "b"},
        "rows": {"type": "integer", "minimum": 1, "maximum": 9, "title": "Most rows"},
        "deep": {"type": "boolean"},
        "sizes": {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "more": {"type": "object"},
    },
    "required": ["format"],
}
JOB = Job(name="odd", run=lambda context: None, title="Odd", intake=Intake(), options=SCHEMA)


@pytest.fixture
def page(client, owner):
    client.force_login(owner)
    return client


@pytest.fixture
def asked(owner, team):
    """An upload that waits for its bytes."""
    return sessions.ask(job="inspect", team=team, owner=owner, filename="a.txt", size=10)


def test_it_works(page, owner):
    shown = page.get("/files/").content.decode()
    assert 'name="compress-format"' in shown
    told = page.post("/files/", {"job": "compress", "compress-format": "gzip"})
    task = Task.objects.get()
    assert task.args["options"] == {"format": "gzip"}
    assert told.url == reverse("file_send", args=[task.pk])
    send = page.get(told.url)
    assert capability.path_of(task.upload.pk) in send.content.decode()
    assert "no-store" in send.headers["Cache-Control"]


def options(**typed) -> OptionsForm:
    form = OptionsForm(JOB, {"odd-format": "a", **{f"odd-{k}": v for k, v in typed.items()}})
    form.is_valid()
    return form


def test_a_schema_becomes_a_form():
    html = OptionsForm(JOB).as_p()
    assert re.search(r'<select name="odd-format".*<option value="b" selected>', html, re.DOTALL)
    assert re.search(r'<input type="number" name="odd-rows" min="1" max="9"', html)
    assert 'type="checkbox" name="odd-deep"' in html
    assert "Most rows" in html
    form = options(rows="3", deep="on", sizes="1, 2", more='{"x": 1}')
    wanted = {"format": "a", "rows": 3, "deep": True, "sizes": [1, 2], "more": {"x": 1}}
    assert form.chosen == wanted


def test_the_schema_has_the_last_word():
    assert "rows" in options(rows="10").errors
    assert "sizes" in options(sizes="1,2,3").errors
    assert "sizes" in options(sizes="one").errors
    assert "name" in options(name="A1").errors
    assert "more" in options(more="{").errors
    assert "format" in options(format="c").errors


def test_every_job_has_a_form_that_its_schema_accepts():
    for group in OrderForm().groups:
        form = OrderForm({"job": group.job.name, **defaults(group)})
        assert form.is_valid(), form.problems()


def defaults(group: OptionsForm) -> dict:
    """What a browser sends where nothing was touched."""
    found = {}
    for name, field in group.fields.items():
        first = next((choice for choice, _ in getattr(field, "choices", ())), None)
        value = group[name].value()
        found[group.add_prefix(name)] = first if value is None else value
    return {name: value for name, value in found.items() if value not in (None, False)}


def test_wrong_options_are_told_and_nothing_is_asked_for(page):
    wrong = {"job": "compress", "compress-format": "zstd", "compress-level": "99"}
    told = page.post("/files/", wrong)
    assert told.status_code == 400
    assert "19" in told.content.decode()
    by_script = page.post("/files/", wrong, headers={"X-Backdrop-Upload": "1"})
    assert "Level" in by_script.json()["problems"][0]
    assert page.post("/files/", {"job": "nothing"}).status_code == 400
    assert not Task.objects.exists()


def test_a_script_is_told_the_address(page):
    order = {"job": "inspect", "filename": "a.txt", "size": "3"}
    told = page.post("/files/", order, headers={"X-Backdrop-Upload": "1"})
    assert told.status_code == 201
    upload = Upload.objects.get()
    assert told.json()["address"] == capability.path_of(upload.pk)
    assert (upload.filename, upload.size) == ("a.txt", 3)


def test_limits_are_told(page, settings):
    settings.UPLOAD_MAX_BYTES = 10
    told = page.post("/files/", {"job": "inspect", "size": "11"})
    assert "larger than the 10 bytes" in told.content.decode()


def test_a_viewer_sees_no_form(client, viewer):
    client.force_login(viewer)
    assert "operator" in client.get("/files/").content.decode()
    assert client.post("/files/", {"job": "inspect"}).status_code == 403


def test_only_the_owner_gets_the_address(client, asked, mate, stranger, superuser):
    address = reverse("file_send", args=[asked.task_id])
    assert client.get(address).status_code == 302, "not logged in"
    for other in (mate, stranger, superuser):
        client.force_login(other)
        assert client.get(address).status_code == 404
        shown = (
            client.get("/files/").content.decode() + client.get("/files/_files").content.decode()
        )
        assert "a.txt" not in shown


def test_what_arrived_leads_to_its_task(page, asked):
    assert "0%</span> of 10 bytes" in page.get("/files/").content.decode()
    Task.objects.update(status=Status.QUEUED)
    led = page.get(reverse("file_send", args=[asked.task_id]))
    assert led.url == reverse("task", args=[asked.task_id])


def test_a_task_shows_what_it_brought(page, asked):
    task = asked.task
    found = {"longest_line": 12_345, "text": {"lines": [1, 2]}, "rows": [{"a": "<b>", "c": True}]}
    Task.objects.update(status=Status.SUCCEEDED, attempt=1, result=found)
    for attempt, gone in ((1, None), (1, "2026-01-01T00:00:00Z"), (2, None)):
        Artifact.objects.create(
            task=task,
            attempt=attempt,
            name=f"{attempt}-{bool(gone)}.bin",
            key="k",
            size=2048,
            sha256="ab" * 32,
            expires_at="2999-01-01T00:00:00Z",
            gone_at=gone,
        )
    shown = page.get(reverse("task", args=[task.pk])).content.decode()
    assert "Longest line" in shown
    assert "12,345" in shown
    assert "&lt;b&gt;" in shown
    assert "2.0 KB" in shown
    assert "1-False.bin" in shown
    assert shown.count("?artifact=") == 1, "what is gone can't be fetched"
    assert "2-False.bin" not in shown, "that is of another attempt"


def test_the_admin_shows_uploads_and_never_their_address(client, asked, superuser):
    client.force_login(superuser)
    until = "2999-01-01T00:00:00Z"
    Artifact.objects.create(
        task=asked.task, attempt=1, name="r", key="k", size=1, sha256="a", expires_at=until
    )
    for kind in ("upload", "artifact"):
        listed = client.get(f"/admin/tasks/{kind}/").content.decode()
        pk = (asked if kind == "upload" else Artifact.objects.get()).pk
        one = client.get(f"/admin/tasks/{kind}/{pk}/change/")
        assert one.status_code == 200
        assert capability.of(asked.pk) not in listed + one.content.decode()
        assert client.post(f"/admin/tasks/{kind}/{pk}/delete/").status_code == 403
        assert client.get(f"/admin/tasks/{kind}/add/").status_code == 403


def test_a_form_without_a_script_sends_the_file(web, owner, password):
    """As a browser does: log in, choose a job, follow to the next page, send the form there."""
    import httpx

    accept = {"Accept": "text/html,application/xhtml+xml", "Origin": web.url}
    with httpx.Client(base_url=web.url, headers=accept, timeout=30) as browser:
        login = {"username": "owner", "password": password}
        browser.post("/login", data={**login, **token(browser.get("/login"))})
        order = {"job": "inspect", "filename": "a.txt", **token(browser.get("/files/"))}
        page = browser.get(browser.post("/files/", data=order).headers["Location"])
        address = re.search(r'action="(/task/upload/[^"]+)"', page.text).group(1)
        sent = browser.post(address, files={"file": ("a.txt", b"abc\n")})
        assert sent.status_code == 303
        task = Task.objects.get()
        assert sent.headers["Location"] == reverse("file_send", args=[task.pk])
        assert task.status == Status.QUEUED
        assert task.upload.filename == "a.txt"
        again = browser.post(
            address, files={"file": ("a.txt", b"abc\n")}, headers={"Referer": str(page.url)}
        )
        for nowhere in ("http://[", "//\u2100/"):
            refused = browser.post(
                address, files={"file": ("a.txt", b"")}, headers={"Referer": nowhere.encode()}
            )
            assert refused.status_code == 409
            assert 'href="/files/"' in refused.text
    assert again.status_code == 409
    assert "complete" in again.text
    assert f'href="/files/{task.pk}/send"' in again.text


def token(page) -> dict[str, str]:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    return {"csrfmiddlewaretoken": found.group(1)}
