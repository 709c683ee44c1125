"""In the admin: limits of uploads by user, role and job; and the Files page tells them."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.models import Role, Team
from accounts.models.teams import PLATFORM
from tasks.models import Task, UploadLimit
from tasks.uploads import sessions

pytestmark = pytest.mark.django_db

LIST = "/admin/tasks/uploadlimit/"
WHOM = ("user", "role", "team", "job")
EMPTY = dict.fromkeys((*WHOM, "max_bytes", "quota_bytes", "sessions", "types"), "")


@pytest.fixture
def browser(client, superuser):
    client.force_login(superuser)
    return client


@pytest.fixture
def save(browser):
    """save(role="admin", …): the sentences that the form refuses it with, if it does."""

    def post(page: str = f"{LIST}add/", **typed) -> list[str]:
        answer = browser.post(page, {**EMPTY, **typed})
        if answer.status_code == 302:
            return []
        form = answer.context["adminform"].form
        return [sentence for sentences in form.errors.values() for sentence in sentences]

    return post


def test_it_works(browser, save, owner, team):
    assert save(role="operator", team=team.pk, max_bytes="2147483648", sessions="3") == []
    assert save(user=owner.pk, quota_bytes="0", types="Image/*, text/csv, image/*") == []
    assert save(job="compress", max_bytes="1048576") == []
    assert UploadLimit.objects.get(user=owner).types == ["image/*", "text/csv"]
    shown = browser.get(LIST).content.decode().replace("\xa0", " ")
    for words in (
        "Operators of Home",
        "up to 2.0 GB",
        "User owner",
        "none at all",
        "image/*, text/csv",
        "Job compress",
        "up to 1.0 MB",
    ):
        assert words in shown, words


def test_what_is_set_is_in_the_history(browser, save, superuser, owner):
    save(user=owner.pk, max_bytes="10")
    row = UploadLimit.objects.get()
    page = f"{LIST}{row.pk}/change/"
    assert save(page, user=owner.pk, max_bytes="20") == []
    browser.post(f"{LIST}{row.pk}/delete/", {"post": "yes"})
    told = LogEntry.objects.order_by("pk")
    assert [entry.action_flag for entry in told] == [1, 2, 3]
    assert {(entry.user, entry.object_repr) for entry in told} == {(superuser, "User owner")}
    assert "One file" in told[1].get_change_message()


def test_the_form_shows_what_is_stored(browser, owner):
    row = UploadLimit.objects.create(user=owner, types=["text/csv", "image/*"])
    shown = browser.get(f"{LIST}{row.pk}/change/").content.decode()
    assert 'value="text/csv, image/*"' in shown
    assert "1073741824" in shown, "how to write a gigabyte"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({}, "Choose one of user, role and job"),
        ({"role": "admin", "job": "compress"}, "Choose one of user, role and job"),
        ({"job": "compress", "team": "team"}, "A team only narrows down a role"),
        ({"role": "viewer"}, "not one of the available choices"),
        ({"job": "backup"}, "not one of the available choices"),
        ({"job": "compress", "quota_bytes": "1"}, "A job has none: set it for a user or a role."),
        ({"job": "compress", "sessions": "1"}, "A job has none: set it for a user or a role."),
        ({"role": "admin", "types": "csv"}, "“csv” is no media type"),
        ({"role": "admin", "sessions": "-1"}, "greater than or equal to 0"),
        ({"role": "admin", "max_bytes": ""}, "Nothing is limited"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(save, team, typed, sentence):
    filled = {"max_bytes": "10", **typed}
    if filled.get("team"):
        filled["team"] = team.pk
    assert any(sentence in told for told in save(**filled)), save(**filled)
    assert not UploadLimit.objects.exists()


def test_each_has_one_row(save, owner, team):
    for whom in ({"user": owner.pk}, {"role": "admin"}, {"job": "compress"}):
        assert save(**whom, max_bytes="1") == []
        assert "already" in " ".join(save(**whom, max_bytes="2"))
    assert save(role="admin", team=team.pk, max_bytes="1") == []
    assert "in that team already" in " ".join(save(role="admin", team=team.pk, max_bytes="2"))
    assert UploadLimit.objects.count() == 4


def test_the_database_holds_the_same(owner, team):
    for row in (
        {"user": owner, "role": "admin"},
        {},
        {"user": owner, "team": team},
        {"job": "compress", "sessions": 1},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            UploadLimit.objects.create(max_bytes=1, **row)


def test_types_that_are_no_list_are_refused():
    for types in ("text/csv", [1], {"a": 1}):
        with pytest.raises(ValidationError, match="list of media types"):
            UploadLimit(role=Role.ADMIN, types=types).clean()


def test_only_superusers_see_and_set_them(client, owner):
    row = UploadLimit.objects.create(user=owner, max_bytes=1)
    owner.is_staff = True
    owner.save()
    client.force_login(owner)
    for page in ("", "add/", f"{row.pk}/change/", f"{row.pk}/delete/"):
        assert client.get(LIST + page).status_code == 403, page
    assert (
        client.post(f"{LIST}add/", {**EMPTY, "role": "admin", "max_bytes": "1"}).status_code == 403
    )
    assert "uploadlimit" not in client.get("/admin/").content.decode().partition("<main")[2]


def test_the_team_of_the_platform_is_not_offered(browser, team):
    Team.objects.create(name=PLATFORM)
    shown = browser.get(f"{LIST}add/").content.decode()
    assert team.name in shown
    assert PLATFORM not in shown


def test_a_job_that_a_release_took_away_can_still_be_looked_at(browser, save):
    row = UploadLimit.objects.create(job="gone", max_bytes=1)
    page = f"{LIST}{row.pk}/change/"
    assert 'value="gone" selected' in browser.get(page).content.decode()
    assert "No job that takes a file" in " ".join(save(page, job="gone", max_bytes="2"))


def test_limits_go_with_whom_they_are_for(owner, team):
    other = Team.objects.create(name="Short")
    UploadLimit.objects.create(user=owner, max_bytes=1)
    UploadLimit.objects.create(role="admin", team=other, max_bytes=1)
    UploadLimit.objects.create(role="admin", team=team, max_bytes=1)
    owner.delete()
    other.delete()
    assert [str(row) for row in UploadLimit.objects.all()] == [f"Admins of {team}"]


# The Files page ---------------------------------------------------------------------------------


def text_of(page) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.content.decode()).split())


@pytest.fixture
def files(client, owner):
    client.force_login(owner)
    return client


def test_the_page_tells_what_may_be_sent_before_a_file_is_chosen(files, owner, team):
    UploadLimit.objects.create(role="admin", max_bytes=2048, quota_bytes=10 << 20, sessions=5)
    UploadLimit.objects.create(job="compress", max_bytes=1024, types=["image/*"])
    sessions.ask(job="inspect", team=team, owner=owner, size=2000)
    shown = text_of(files.get("/files/"))
    assert "Inspect" in shown
    assert "Files of up to 2.0 KB." in shown
    assert "Files of up to 1.0 KB: image/*." in shown
    assert "Your files here take 2.0 KB of the 10.0 MB that you may use." in shown
    assert "1 of 5 uploads is open." in shown


def test_the_page_tells_that_nothing_may_be_sent(files, owner):
    UploadLimit.objects.create(user=owner, sessions=0)
    assert "You may send no files here." in text_of(files.get("/files/"))
    told = files.post("/files/", {"job": "inspect"})
    assert told.status_code == 400
    assert "You may send no files here." in text_of(told)
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"max_bytes": 10}, "larger than the 10 bytes that you may send"),
        ({"quota_bytes": 10}, "would take 11 bytes, of the 10 bytes you may use"),
        ({"types": ["image/*"]}, "you may send only image/*"),
    ],
)
def test_the_page_refuses_in_the_same_words(files, owner, row, sentence):
    UploadLimit.objects.create(user=owner, **row)
    order = {"job": "profile", "size": "11"}
    assert sentence in text_of(files.post("/files/", order))
    by_script = files.post("/files/", order, headers={"X-Backdrop-Upload": "1"})
    assert sentence in by_script.json()["problems"][0]
