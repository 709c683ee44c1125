"""The admin's frame: a sidebar whose links work, and nothing of others' inner workings."""

from __future__ import annotations

import pytest
from django.conf import settings

pytestmark = pytest.mark.django_db


def test_it_works(client, superuser, team):
    client.force_login(superuser)
    page = client.get("/admin/").content.decode()
    links = [
        str(item["link"])
        for group in settings.UNFOLD["SIDEBAR"]["navigation"]
        for item in group["items"]
    ]
    assert len(links) > 6
    for link in links:
        assert f'href="{link}"' in page
        assert client.get(link).status_code == 200, link


def test_nobody_finds_the_rows_of_inner_workings(client, superuser):
    client.force_login(superuser)
    page = client.get("/admin/").content.decode()
    assert "django_q" not in page
    assert "token_blacklist" not in page
    assert client.get("/admin/django_q/schedule/").status_code == 404


def test_dates_are_written_as_on_our_own_pages(client, superuser, backup):
    client.force_login(superuser)
    page = client.get("/admin/backups/backup/").content.decode()
    assert f"{backup.completed_at:%Y}, {backup.completed_at:%H:%M}" in page
