"""`live.js` in a real browser: pages stay true with a socket, with a bad one, and without."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from tasks import transitions
from tasks.tests.work import Running, new_task, running_task


@pytest.fixture
def look(visit, mate):
    """look(task): the page of a task, as a team mate sees it."""

    def open_page(task, *, before=lambda page: None):
        page = visit(mate)
        before(page)
        page.goto(f"/tasks/{task.pk}")
        return page

    return open_page


def part_of(page):
    return page.locator("[data-live^='task:']").first


def test_it_works(look, team):
    """Figures move and log lines come without the page being fetched again."""
    run = running_task(team, title="Long work")
    page = look(run.task)
    expect(part_of(page)).to_have_attribute("data-live-state", "live")
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    for done in (10_000_000, 42_000_000):
        run.report(done, 100_000_000, line=f"at {done}")
    expect(page.locator("[data-field=percent]").last).to_have_text("42%")
    expect(page.locator("[data-field=done]")).to_have_text("40.1 MB")
    assert page.locator("progress").first.evaluate("bar => bar.value") == 42
    lines = page.locator("[data-events] li")
    expect(lines).to_have_count(4)
    expect(lines.last).to_contain_text("at 42000000")
    assert fetched == []


def test_the_page_is_made_anew_when_the_status_changes(look, team):
    run = running_task(team)
    page = look(run.task)
    expect(part_of(page)).to_have_attribute("data-live-state", "live")
    run.report(5, line="one")
    run.end(error="")
    expect(page.get_by_text("Succeeded").first).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert in_order(page)


def in_order(page) -> bool:
    """Whether every log line is there once, in order."""
    seqs = page.locator("[data-events] li").evaluate_all("all => all.map(li => +li.dataset.seq)")
    return seqs == list(range(1, len(seqs) + 1)) and len(seqs) > 0


def test_without_sockets_it_asks_every_two_seconds(look, team):
    """As behind a proxy that knows none."""
    run = running_task(team)
    page = look(
        run.task,
        before=lambda page: page.route_web_socket(
            re.compile("/ws/"), lambda socket: socket.close(code=1011)
        ),
    )
    expect(part_of(page)).to_have_attribute("data-live-state", "polling")
    run.report(42, 100, line="heard anyway")
    begun = time.monotonic()
    expect(page.locator("[data-field=percent]").last).to_have_text("42%")
    expect(page.get_by_text("heard anyway")).to_be_visible()
    assert time.monotonic() - begun < 4
    run.end(error="")
    expect(page.get_by_text("Succeeded").first).to_be_visible()


def test_a_dead_connection_is_noticed(look, team):
    """Nothing comes any more, and nobody says so: a cable was pulled."""
    run = running_task(team)
    cut = []

    def between(socket) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: None if cut else socket.send(message))

    page = look(run.task, before=lambda page: page.route_web_socket(re.compile("/ws/"), between))
    expect(part_of(page)).to_have_attribute("data-live-state", "live")
    cut.append(True)
    run.report(42, 100)
    begun = time.monotonic()
    expect(page.locator("[data-field=percent]").last).to_have_text("42%")
    assert time.monotonic() - begun < 4


def test_a_lost_message_is_made_good_within_two_seconds(look, team):
    run = running_task(team)
    lose = []

    def between(socket) -> None:
        server = socket.connect_to_server()
        server.on_message(
            lambda message: None if lose and '"update"' in message else socket.send(message)
        )

    page = look(run.task, before=lambda page: page.route_web_socket(re.compile("/ws/"), between))
    expect(part_of(page)).to_have_attribute("data-live-state", "live")
    lose.append(True)
    run.end(error="")
    begun = time.monotonic()
    expect(page.get_by_text("Succeeded").first).to_be_visible()
    assert time.monotonic() - begun < 4


def test_after_a_break_the_page_goes_on_where_it_was(look, team):
    run = running_task(team)
    sockets = []

    def between(socket) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    page = look(run.task, before=lambda page: page.route_web_socket(re.compile("/ws/"), between))
    expect(part_of(page)).to_have_attribute("data-live-state", "live")
    sockets[0].close(code=1012)
    for number in range(5):
        run.report(number, 100, line=f"line {number}")
    expect(page.get_by_text("line 4")).to_be_visible()
    expect(part_of(page)).to_have_attribute("data-live-state", "live")
    assert "after=" in sockets[-1].url
    assert in_order(page)


def test_what_a_person_does_outlives_a_swap(look, team):
    run = running_task(team)
    page = look(run.task)
    expect(part_of(page)).to_have_attribute("data-live-state", "live")
    page.locator("[data-events]").focus()
    transitions.cancel(run.task, by=None)
    run.report(50, 100, line="still here")
    run.end(error="")
    expect(page.get_by_text("Succeeded").first).to_be_visible()
    assert page.evaluate("document.activeElement.matches('[data-events]')")


def test_the_list_shows_what_comes_and_goes(visit, mate, team):
    page = visit(mate)
    page.goto("/tasks/")
    expect(page.locator("[data-live=tasks]")).to_have_attribute("data-live-state", "live")
    task = new_task(team, title="Just asked for")
    expect(page.get_by_text("Just asked for").first).to_be_visible()
    run = Running(task)
    run.report(42, 100)
    expect(page.get_by_text("42%").first).to_be_visible()


def test_the_admin_is_live_too(visit, superuser, team):
    run = running_task(team)
    page = visit(superuser)
    page.goto(f"/admin/tasks/task/{run.task.pk}/change/")
    expect(part_of(page)).to_have_attribute("data-live-state", "live")
    run.report(42, 100, line="told to the admin")
    expect(page.get_by_text("told to the admin")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("It is asked to stop.")).to_be_visible()
    run.task.refresh_from_db()
    assert run.task.cancel_requested_at is not None
