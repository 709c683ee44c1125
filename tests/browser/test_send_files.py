"""A person sends a file by the page, loses the connection, goes on, and gets what came of it."""

from __future__ import annotations

import hashlib
import random

import pytest
from playwright.sync_api import expect

from tasks.models import Task, Upload
from tasks.states import Status
from tasks.tests import toys
from tasks.tests.crew import crew
from tests.browser.conftest import DESK, PHONE, photograph, wait_for
from tests.browser.test_read_pages import CONTRAST, UNNAMED, WIDER

assert toys  # registers the toy jobs

CONTENT = random.Random(3).randbytes(30_000_000)
FILE = "/task/upload/**"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a picture of things.bin"
    path.write_bytes(CONTENT)
    return path


def whole(upload: Upload) -> bool:
    return upload.sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def workers(web, transactional_db):
    """On the disk that the web process takes files to."""
    with crew(web.log.parent, workers=1):
        yield


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("one\ntwo\n")
    return path


def test_it_works(visit, operator, workers, lines):
    page = visit(operator)
    page.get_by_role("link", name="Files").click()
    page.get_by_label("A file").set_input_files(lines)
    page.get_by_label("What to do with it").select_option("compress")
    page.get_by_role("group", name="Compress").get_by_label("Format").select_option("gzip")
    photograph(page, "files-form")
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_url("**/tasks/*")
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    photograph(page, "files-task")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download lines.txt.gz").click()
    assert saved.value.suggested_filename == "lines.txt.gz"
    assert Task.objects.get().result["format"] == "gzip"
    page.goto("/files/")
    expect(page.get_by_text("Succeeded")).to_be_visible()


def test_a_broken_connection_is_gone_on_with(visit, operator, file):
    page = visit(operator, viewport=PHONE)
    page.goto("/files/")
    broken = {"left": 3}

    def cut(route, request):
        if request.method == "PATCH" and broken["left"]:
            broken["left"] -= 1
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(FILE, cut)
    page.get_by_label("A file").set_input_files(file)
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_url("**/tasks/*")
    assert broken["left"] == 0
    assert whole(Upload.objects.get())
    page.expected_complaints = ["net::ERR_CONNECTION_RESET"] * 3


def test_after_a_reload_the_rest_is_sent(visit, operator, file, lines):
    page = visit(operator)
    page.goto("/files/")
    sent = {"bytes": 0}
    # The first piece gets through, then the page is left.
    page.route(FILE, lambda route, request: second_waits(route, request, sent))
    page.get_by_label("A file").set_input_files(file)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("27 %")).to_be_visible()
    expect(page.get_by_text("28% of 28.6 MB is here.")).to_be_visible()
    photograph(page, "files-sending")
    page.goto("/files/")
    page.unroute_all(behavior="ignoreErrors")
    expect(page.get_by_text("28% of 28.6 MB is here.")).to_be_visible()
    photograph(page, "files-half")
    page.get_by_role("link", name="Go on").click()
    photograph(page, "files-go-on")
    page.get_by_label(file.name).set_input_files(lines)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("That is another file")
    page.get_by_label(file.name).set_input_files(file)
    with page.expect_request(lambda request: request.method == "PATCH") as first:
        page.get_by_role("button", name="Send", exact=True).click()
    assert int(first.value.headers["upload-offset"]) > 0
    page.wait_for_url("**/tasks/*")
    assert whole(Upload.objects.get())


def second_waits(route, request, sent) -> None:
    if request.method == "PATCH" and sent["bytes"]:
        return  # never answered
    if request.method == "PATCH":
        sent["bytes"] += 1
    route.continue_()


def test_it_can_be_paused_by_keys_alone(visit, operator, file):
    page = visit(operator)
    page.goto("/files/")
    held = []
    page.route(FILE, lambda route, request: hold(route, request, held))
    page.get_by_label("A file").set_input_files(file)
    page.get_by_role("button", name="Send", exact=True).focus()
    page.keyboard.press("Enter")
    pause = page.get_by_role("button", name="Pause")
    expect(pause).to_be_focused()
    wait_for(lambda: page.evaluate("1") and held)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Paused.")).to_be_visible()
    page.unroute_all(behavior="ignoreErrors")
    page.get_by_role("button", name="Go on").press("Enter")
    page.wait_for_url("**/tasks/*")
    assert whole(Upload.objects.get())


def hold(route, request, held) -> None:
    if request.method == "PATCH":
        held.append(request)
    else:
        route.continue_()


def test_a_dropped_file_is_taken(visit, operator, lines):
    page = visit(operator)
    page.goto("/files/")
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["one\\n"], "dropped.txt"));
            document.body.dispatchEvent(
                new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }"""
    )
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_url("**/tasks/*")
    assert Upload.objects.get().filename == "dropped.txt"


def test_what_is_refused_is_told(visit, operator, lines):
    page = visit(operator)
    page.goto("/files/")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Choose a file first.")
    page.get_by_label("A file").set_input_files(lines)
    page.get_by_label("What to do with it").select_option("compress")
    page.get_by_role("group", name="Compress").get_by_label("Level").fill("99")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("19")
    photograph(page, "files-refused")
    page.get_by_role("group", name="Compress").get_by_label("Level").fill("3")
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_url("**/tasks/*")
    page.expected_complaints = ["400"]


def test_without_a_script_a_file_is_sent_too(visit, operator, lines):
    page = visit(operator, java_script_enabled=False)
    page.goto("/files/")
    photograph(page, "files-no-script")
    page.get_by_label("Name of the file").fill("lines.txt")
    page.get_by_role("button", name="Go on to choose the file").click()
    page.get_by_label("lines.txt").set_input_files(lines)
    photograph(page, "files-no-script-send")
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_url("**/tasks/*")
    task = Task.objects.get()
    assert (task.status, task.upload.size) == (Status.QUEUED, 8)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_the_pages_fit_and_are_legible(visit, owner, asked, done, viewport, scheme):
    page = visit(owner, viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    places = {"list": "/files/", "send": f"/files/{asked.pk}/send", "task": f"/tasks/{done.pk}"}
    for name, address in places.items():
        page.goto(address)
        photograph(page, f"files-{name}-{viewport['width']}-{scheme}")
        assert page.evaluate(WIDER) == 0, f"{address} is wider than the screen"
        assert page.evaluate(CONTRAST) == [], address
        assert page.evaluate(UNNAMED) == [], address


LONG = "a-name-of-a-file-that-nobody-breaks-" * 4


@pytest.fixture
def asked(owner, team) -> Task:
    return ordered(owner, team, f"{LONG}.csv")


@pytest.fixture
def done(owner, team) -> Task:
    from tasks.models import Artifact

    task = ordered(owner, team, "orders.csv")
    columns = [
        {"name": name, "type": "text", "nulls": 3, "distinct": 123_456, "max": "z" * 60}
        for name in ("id", "placed_at", "a_column_with_a_long_name", "note")
    ]
    result = {
        "rows": 1_234_567,
        "columns": columns,
        "text": {"encoding": "utf-8", "line_ends": "LF", "longest_line": 99},
        "warnings": ["Some names would leave the folder that it is unpacked in."],
    }
    Upload.objects.filter(task=task).update(completed_at=task.created_at, content_type="text/csv")
    Task.objects.filter(pk=task.pk).update(
        status=Status.SUCCEEDED, attempt=1, result=result, finished_at=task.created_at
    )
    for name in (f"{LONG}.parquet", "small.csv"):
        Artifact.objects.create(
            task=task,
            attempt=1,
            name=name,
            key=name,
            size=123_456_789,
            sha256="ab" * 32,
            content_type="application/octet-stream",
            expires_at="2999-01-01T00:00:00Z",
        )
    return task


def ordered(owner, team, name: str) -> Task:
    from tasks.uploads import sessions

    task = sessions.ask(job="inspect", team=team, owner=owner, filename=name, size=12_345_678).task
    assert task is not None
    return task
