"""A person logs in, starts a backup, sees it move, cancels one, and sees what became of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from backups.models import Backup
from tasks.states import Status
from tests.browser.conftest import ABOUT_BYTES, PHONE, photograph, wait_for

pytestmark = pytest.mark.usefixtures("workers")


def test_it_works(visit, operator, plan):
    page = visit(operator)
    expect(page.get_by_role("heading", level=1)).to_have_text("shop has no backup.")
    page.get_by_role("button", name="Back up shop now").click()
    expect(page.get_by_role("status")).to_contain_text("Backing up shop.")
    # Nobody reloads: the page itself learns that it is done.
    expect(page.get_by_role("heading", level=1)).to_have_text("shop was never proven.")
    expect(page.get_by_role("article", name="shop", exact=True)).to_contain_text("in disk")
    page.get_by_role("button", name="Prove the last backup of shop").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("shop is proven.")
    photograph(page, "proven")


def test_the_bar_moves_with_the_bytes(visit, operator, plan, freeze):
    estimate(plan)
    page = visit(operator)
    page.get_by_role("button", name="Back up shop now").click()
    backup = newest()
    dump = freeze(backup.task)
    bar = page.get_by_role("progressbar", name="Progress of Back up shop")
    page.wait_for_function("document.querySelector('progress').value > 0")
    first = float(bar.get_attribute("value"))
    assert 0 < first < 100
    card = page.get_by_role("article", name="Back up shop", exact=True)
    expect(card).to_contain_text("of about 47.7 MB")
    expect(card).to_contain_text("try 1 of 3")
    photograph(page, "running")
    dump.resume()
    expect(bar).to_have_count(0)
    expect(page.get_by_text("just now").first).to_be_visible()
    assert Backup.objects.get(pk=backup.pk).complete


def test_cancel_ends_it_and_leaves_nothing(visit, operator, plan, freeze):
    page = visit(operator, viewport=PHONE)
    page.get_by_role("button", name="Back up shop now").click()
    backup = newest()
    dump = freeze(backup.task)
    page.get_by_role("button", name="Cancel: Back up shop").click()
    lately = page.get_by_role("region", name="Lately")
    expect(lately.get_by_text("Cancelled")).to_be_visible()
    backup.task.refresh_from_db()
    assert backup.task.status == Status.CANCELLED
    assert not dump.is_running()
    assert not list((plan_folder(plan)).rglob("*.gz*"))


def test_a_task_page_follows_its_task(visit, operator, plan, freeze):
    page = visit(operator)
    page.goto(f"/databases/{plan.database_id}")
    page.get_by_role("button", name="Back up shop now").click()
    backup = newest()
    dump = freeze(backup.task)
    page.goto(f"/tasks/{backup.task_id}")
    history = page.get_by_role("list", name="History")
    expect(history).to_contain_text("Asked for by operator")
    photograph(page, "task")
    dump.resume()
    expect(history).to_contain_text("Stored shop_")
    expect(page.locator("[data-field=status]")).to_have_text("Succeeded")


def test_a_page_about_one_thing_is_loaded_anew_when_its_work_ends(visit, operator, plan):
    page = visit(operator)
    page.goto(f"/databases/{plan.database_id}")
    page.get_by_role("button", name="Back up shop now").click()
    expect(page.get_by_role("region", name="Under way")).to_have_count(0)
    expect(page.get_by_role("region", name="Backups")).to_contain_text("to disk")
    expect(page.get_by_role("region", name="Backups")).to_contain_text("Never proven")


def test_without_javascript_it_works_too(visit, operator, plan, freeze):
    estimate(plan)
    page = visit(operator, java_script_enabled=False)
    page.get_by_role("button", name="Back up shop now").click()
    backup = newest()
    freeze(backup.task)
    page.goto(f"/tasks/{backup.task_id}")
    bar = page.get_by_role("progressbar")
    assert 0 < float(bar.get_attribute("value")) < 100
    expect(page.get_by_role("link", name="Reload")).to_be_visible()
    photograph(page, "without-javascript")
    page.get_by_role("button", name="Cancel").click()
    # The page is fetched anew by itself.
    expect(page.get_by_text("Cancelled", exact=True)).to_be_visible()


def estimate(plan) -> None:
    """A last run, whose size the next one is measured against."""
    from django.utils import timezone

    Backup.objects.create(
        team=plan.team,
        plan=plan,
        database=plan.database,
        destination=plan.destination,
        completed_at=timezone.now(),
        raw_bytes=ABOUT_BYTES,
        stored_bytes=ABOUT_BYTES // 4,
    )


def newest() -> Backup:
    wait_for(Backup.objects.filter(task__isnull=False).exists)
    return Backup.objects.filter(task__isnull=False).latest("created_at")


def plan_folder(plan):
    from pathlib import Path

    return Path(plan.destination.options["folder"])
