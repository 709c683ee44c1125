"""The page of workers and histories in a real browser: true without a reload, on phone and desk."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from tasks import pauses, queue
from tasks.models import Canary, Event, Pause, Task, Worker
from tasks.tests.test_send_canaries import new_worker
from tasks.tests.work import new_task, running_task
from tests.browser.conftest import DESK, PHONE, photograph
from tests.browser.test_read_pages import CONTRAST, LONG, UNNAMED, WIDER


@pytest.fixture
def staff(mate):
    mate.is_staff = True
    mate.save()
    return mate


@pytest.fixture
def addresses(transactional_db, team, staff, stranger) -> list[str]:
    """Pages that are full of everything, long names included."""
    one = new_worker(f"{LONG}:1:1", ["default", LONG], host=f"{LONG}.{LONG}", capacity=3, pid=4711)
    new_worker("db-2:2:2", ["default"], host="db-2", pid=12)
    draining = new_worker("db-2:3:3", ["default"], host="db-2", pid=13)
    silent = new_worker("db-2:4:4", [LONG], host="db-2", pid=14)
    new_worker("db-2:5:5", [], host="db-2", kind="daemon", pid=15)
    Worker.objects.filter(pk=draining.pk).update(drain_asked_at=timezone.now())
    Worker.objects.exclude(pk=silent.pk).update(heartbeat_at=timezone.now() + timedelta(hours=1))
    Worker.objects.filter(pk=silent.pk).update(heartbeat_at=timezone.now() - timedelta(hours=1))
    for title, owner_team in (
        ("Back up shop", team),
        (LONG, team),
        ("Secret", stranger.teams.get()),
    ):
        task = new_task(owner_team, title=title)
        assert queue.claim(["default"], one.name)
        far = timezone.now() + timedelta(hours=1)
        Task.objects.filter(pk=task.pk).update(
            lease_expires_at=far, progress_done=42, progress_total=100
        )
    new_task(team, run_at=timezone.now() - timedelta(seconds=500))
    new_task(team, queue="alone")
    pauses.pause(Pause.Kind.QUEUE, LONG, by=staff, reason="The disk is being replaced.")
    pauses.pause(Pause.Kind.JOB, "backup", by=staff, reason=f"{LONG} {LONG}")
    now = timezone.now()
    Canary.objects.create(queue="default", sent_at=now, returned_at=now, seconds=0.2)
    history = running_task(team, title="Much to say", queue="nobody").task
    Task.objects.filter(pk=history.pk).update(lease_expires_at=far)
    add_lines(history, 1000)
    return ["/workers/", f"/tasks/{history.pk}", f"/tasks/{history.pk}/events?least=info"]


def add_lines(task: Task, count: int) -> None:
    levels = ["debug", "info", "warning", "error"]
    Event.objects.bulk_create(
        Event(
            task=task,
            seq=100 + n,
            kind="log",
            level=levels[n % 4],
            message=f"table public.t{n} done",
        )
        for n in range(count)
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_it_works(visit, staff, addresses, viewport, scheme):
    page = visit(staff, viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    for number, address in enumerate(addresses):
        page.goto(address)
        photograph(page, f"workers-{number}-{viewport['width']}-{scheme}")
        assert page.evaluate(WIDER) == 0, f"{address} is wider than the screen"
        assert page.evaluate(CONTRAST) == [], address
        assert page.evaluate(UNNAMED) == [], address


def test_the_page_changes_by_itself_and_buttons_work(visit, staff, team):
    worker = new_worker("one:1:1", ["default"])
    Worker.objects.update(heartbeat_at=timezone.now() + timedelta(hours=1))
    page = visit(staff)
    page.goto("/workers/")
    task = new_task(team, title="Nightly")
    assert queue.claim(["default"], worker.name).pk == task.pk
    expect(page.get_by_role("link", name="Nightly")).to_be_visible()
    page.get_by_label("Why").fill("A new disk")
    page.get_by_label("What").select_option("queue:default")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text("A new disk").last).to_be_visible()
    page.get_by_role("button", name="Resume queue default").click()
    page.get_by_role("button", name="Pause queue default").wait_for()
    page.get_by_role("button", name="Drain").click()
    expect(page.get_by_text("Draining").first).to_be_visible()
    worker.refresh_from_db()
    assert worker.drain_asked_at is not None


def test_new_lines_come_to_the_last_page_of_a_history_from_its_level_on(visit, staff, team):
    run = running_task(team)
    page = visit(staff)
    page.goto(f"/tasks/{run.task.pk}/events?least=warning")
    expect(page.locator("[data-live]")).to_have_attribute("data-live-state", "live")
    run.lease.note_line("too quiet", "info")
    run.lease.note_line("loud", "error")
    run.lease.renew()
    expect(page.get_by_text("loud")).to_be_visible()
    expect(page.get_by_text("too quiet")).to_be_hidden()


def test_the_admin_looks_alike(visit, staff, addresses):
    page = visit(staff)
    for number, address in enumerate(
        ["/admin/tasks/worker/", f"/admin/tasks/task/{addresses[1].rpartition('/')[2]}/change/"]
    ):
        page.goto(address)
        photograph(page, f"admin-{number}")
        page.get_by_role("heading").first.wait_for()
