"""Telling people, as somebody in front of a browser sets it up and tries it out."""

from __future__ import annotations

import pytest

from backups.tests.receiver import PATH, receiving
from tests.browser.conftest import PHONE, photograph

SECRET = PATH.rpartition("/")[2]


@pytest.fixture
def add(visit, owner, workers):
    """add(webhook): the page of a channel that was just made by typing it in."""

    def type_in(webhook: str):
        page = visit(owner, viewport=PHONE)
        page.goto("/notifications/")
        page.get_by_role("link", name="Add a channel").first.click()
        page.get_by_label("Name").fill("ops")
        page.get_by_label("Address").fill(webhook)
        page.get_by_label("Backup completed").uncheck()
        page.get_by_role("button", name="Save").click()
        page.get_by_role("heading", name="ops", level=1).wait_for()
        return page

    return type_in


def test_it_works(add):
    with receiving() as slack:
        page = add(slack.webhook)
        page.get_by_role("button", name="Send a test").click()
        page.get_by_role("region", name="What was sent").get_by_text("Sent", exact=True).wait_for()

    photograph(page, "channel-told")
    assert len(slack.texts) == 1
    assert SECRET not in page.content()


def test_a_test_that_is_refused_says_why(add):
    with receiving(410) as slack:
        page = add(slack.webhook)
        page.get_by_role("button", name="Send a test").click()
        page.get_by_text("Not delivered").wait_for()

    photograph(page, "channel-refused")
    assert page.get_by_role("region", name="What was sent").get_by_text("answered 410").count()
    assert SECRET not in page.content()
