"""A real browser in front of a real platform: web, workers, a PostgreSQL to back up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from accounts.models import Role
from backups.models import Database, Destination, Plan
from tasks.models import Task, Worker
from tests import servers
from tests.web import Web

PATIENCE = 60.0
CHROMIUM = "/usr/bin/chromium"
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PHONE = {"width": 360, "height": 780}
DESK = {"width": 1440, "height": 900}
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")
"""A folder that keeps a picture of each page the tests look at; none where it is not set."""

ROWS = """
    CREATE TABLE orders AS
        SELECT n AS id,
               CASE n WHEN 40000 THEN (SELECT string_agg(md5(i::text), '')
                                       FROM generate_series(1, 1000) AS i)
                      ELSE repeat(md5(n::text), 12) END AS note,
               now() AS placed_at
        FROM generate_series(1, 120000) AS n;
    ALTER TABLE orders ADD PRIMARY KEY (id);
    CREATE TABLE customers AS SELECT n AS id, md5(n::text) AS name FROM generate_series(1, 500) n;
"""
ABOUT_BYTES = 50_000_000
SOME_BYTES = 8_000_000
"""They come before the one row whose note is too long to be kept beside the others."""
LONG_NOTES = "SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'orders'"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    assert shutil.which(CHROMIUM), "Debian's package chromium is needed"
    # Playwright's loop would make Django refuse to touch the database in this thread.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield launched
        launched.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def visit(browser, web, transactional_db, password) -> Iterator[Callable[..., Page]]:
    """visit(user, viewport=PHONE): a logged-in page; anything on its console fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    pages: list[Page] = []

    def open_page(user=None, **options) -> Page:
        options.setdefault("viewport", DESK)
        context = browser.new_context(base_url=web.url, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        pages.append(page)
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if user is not None:
            log_in(page, user.username, password)
        return page

    expect.set_options(timeout=PATIENCE * 1000)
    yield open_page
    for context in contexts:
        context.close()
    expected = [said for page in pages for said in getattr(page, "expected_complaints", [])]
    left = [said for said in complaints if not any(one in said for one in expected)]
    assert left == []


def log_in(page: Page, username: str, password: str) -> None:
    page.goto("/")
    page.get_by_label("User name or e-mail").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")


@pytest.fixture(scope="module")
def workers(web: Web, django_db_blocker, tmp_path_factory) -> Iterator[None]:
    """A `runworkers` on the test database, with two attempts at once, for a whole module."""
    from tests.web import environment

    folder = tmp_path_factory.mktemp("workers")
    log = folder / "workers.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "runworkers", "--workers", "2"],
            cwd=settings.BASE_DIR,
            env={**environment(folder), "SHUTDOWN_GRACE_SECONDS": "1"},
            stdout=output,
            stderr=output,
        )
    try:
        ready = Worker.objects.filter(kind=Worker.Kind.WORKER, pid=process.pid)
        with django_db_blocker.unblock():
            wait_for(ready.exists, log.read_text)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def filled(postgres15) -> Iterator[str]:
    """The name of a database whose dump takes a moment."""
    with servers.new_database(postgres15, ROWS) as dbname:
        yield dbname


@pytest.fixture
def shop(team, postgres15, filled) -> Database:
    address = postgres15.server(filled)
    return Database.objects.create(
        team=team,
        name="shop",
        host=address.host,
        port=address.port,
        dbname=filled,
        username=address.user,
        password=address.password,
    )


@pytest.fixture
def plan(team, shop, tmp_path) -> Plan:
    folder = tmp_path / "kept"
    folder.mkdir()
    disk = Destination.objects.create(
        team=team, name="disk", kind="local", options={"folder": str(folder)}
    )
    return Plan.objects.create(team=team, name="nightly", database=shop, destination=disk)


@pytest.fixture
def operator(team, new_user):
    return new_user("operator", team, Role.OPERATOR)


@pytest.fixture
def gate(postgres15, filled) -> Iterator[psycopg.Connection[Any]]:
    """Until this is rolled back no dump of `filled` gets past the long note: it can't be found."""
    with postgres15.connect(filled) as connection:
        connection.autocommit = False
        (long_notes,) = connection.execute(LONG_NOTES).fetchone()
        connection.execute(f"REINDEX TABLE {long_notes}")
        yield connection
        connection.rollback()


@pytest.fixture
def freeze(gate) -> Iterator[Callable[[Task], psutil.Process]]:
    """freeze(task): stop its dump in the middle; the process returned goes on with `.resume()`.

    Until then no dump gets further than that, and afterwards one does.
    """
    frozen: list[psutil.Process] = []

    def stop(task: Task) -> psutil.Process:
        wait_for(lambda: Task.objects.get(pk=task.pk).progress_done > SOME_BYTES)
        dump: psutil.Process = dump_of(psutil.Process(task.attempts.get().pid))
        dump.suspend()
        frozen.append(dump)
        gate.rollback()
        return dump

    yield stop
    for process in frozen:
        if process.is_running():
            process.resume()


def dump_of(child: psutil.Process) -> psutil.Process:
    started = child.children(recursive=True)
    return next(each for each in started if "pg_dump" in each.name())


def wait_for(true: Callable[[], Any], explain: Callable[[], str] = str, pause: float = 0.02) -> Any:
    """What it says, once that is true of anything."""
    deadline = time.monotonic() + PATIENCE
    while not (value := true()):
        assert time.monotonic() < deadline, explain()
        time.sleep(pause)
    return value


def photograph(page: Page, name: str) -> None:
    if SCREENSHOTS:
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        place = Path(SCREENSHOTS) / f"{name}.png"
        page.screenshot(path=place, full_page=True, animations="disabled")
