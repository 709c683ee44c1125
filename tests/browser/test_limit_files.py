"""A superuser sets limits in the admin; who sends files reads theirs before choosing one."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tasks.models import Upload, UploadLimit
from tests.browser.conftest import DESK, PHONE, photograph
from tests.browser.test_read_pages import CONTRAST, UNNAMED, WIDER

LIST = "/admin/tasks/uploadlimit/"


@pytest.fixture
def limits(owner, operator, team) -> None:
    for row in (
        {"user": operator, "max_bytes": 0},
        {"user": owner, "quota_bytes": 5 << 30, "types": ["*/*"]},
        {"role": "operator", "max_bytes": 100 << 20, "sessions": 3, "types": ["image/*"]},
        {"role": "admin", "team": team, "max_bytes": 1 << 30},
        {"job": "compress", "max_bytes": 10 << 20, "types": ["text/*", "application/json"]},
    ):
        UploadLimit.objects.create(**row)


def test_it_works(visit, operator, superuser, tmp_path):
    admin = visit(superuser)
    admin.goto(LIST)
    admin.get_by_role("link", name="Add upload limit").first.click()
    admin.get_by_label("Role").select_option("operator")
    admin.get_by_label("One file").fill("1048576")
    admin.get_by_label("Types").fill("text/csv, text/plain")
    photograph(admin, "limits-form")
    admin.get_by_role("button", name="Save", exact=True).click()
    admin.wait_for_url(f"**{LIST}")
    expect(admin.locator("#result_list").get_by_role("link", name="Operators")).to_be_visible()
    expect(admin.get_by_text("up to 1.0 MB")).to_be_visible()
    photograph(admin, "limits-saved")

    page = visit(operator)
    page.goto("/files/")
    expect(
        page.get_by_text("Inspect: Files of up to 1.0 MB: text/csv, text/plain.")
    ).to_be_visible()
    large = tmp_path / "large.txt"
    large.write_bytes(b"a" * (1 << 20) + b"\n")
    page.get_by_label("A file").set_input_files(large)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("larger than the 1048576 bytes (1.0 MB)")
    photograph(page, "limits-refused")
    assert not Upload.objects.exists()
    page.expected_complaints = ["400"]


def test_the_line_is_that_of_the_job_that_is_chosen(visit, owner, limits):
    page = visit(owner)
    page.goto("/files/")
    page.get_by_label("What to do with it").select_option("compress")
    expect(page.get_by_text("Files of up to 10.0 MB: text/*, application/json.")).to_be_visible()
    expect(page.get_by_text("Inspect: Files of up to 1.0 GB.")).to_be_hidden()
    page.get_by_label("What to do with it").select_option("inspect")
    expect(page.get_by_text("Files of up to 10.0 MB: text/*, application/json.")).to_be_hidden()
    expect(page.get_by_text("Inspect: Files of up to 1.0 GB.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_the_pages_fit_and_are_legible(visit, owner, operator, superuser, limits, viewport, scheme):
    options = {"viewport": viewport, "color_scheme": scheme, "reduced_motion": "reduce"}
    for user in (owner, operator):
        page = visit(user, **options)
        page.goto("/files/")
        photograph(page, f"limits-files-{user}-{viewport['width']}-{scheme}")
        assert page.evaluate(WIDER) == 0
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate(UNNAMED) == []
    page = visit(superuser, **options)
    for name, address in (("list", LIST), ("add", f"{LIST}add/")):
        page.goto(address)
        photograph(page, f"limits-{name}-{viewport['width']}-{scheme}")
        assert page.evaluate(WIDER) == 0, address


def test_without_a_script_each_line_names_its_job(visit, owner, limits):
    page = visit(owner, java_script_enabled=False)
    page.goto("/files/")
    expect(page.get_by_text("Compress: Files of up to 10.0 MB")).to_be_visible()
    photograph(page, "limits-no-script")
