"""The admin's pages of users and teams."""

from __future__ import annotations

import pytest
from django.apps import apps

from accounts.models import Membership, Role, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def pages(client, superuser):
    client.force_login(superuser)
    return client


def inline(team, **rows) -> dict:
    """What the browser sends for the members below a team or a user."""
    count = {"membership_set-TOTAL_FORMS": len(rows), "membership_set-INITIAL_FORMS": 0}
    body = {f"membership_set-{name}": value for row in rows.values() for name, value in row.items()}
    return {**count, **body}


def test_it_works(pages, owner, team):
    for address in (
        "user/",
        "user/add/",
        f"user/{owner.pk}/change/",
        f"user/{owner.pk}/password/",
        "team/",
        "team/add/",
        f"team/{team.pk}/change/",
    ):
        assert pages.get(f"/admin/accounts/{address}").status_code == 200, address


def test_a_user_is_made_and_put_into_a_team(pages, team, password):
    body = {"username": "new", "email": "", "password1": password, "password2": password}
    body |= {"usable_password": "true", **inline(team)}
    assert pages.post("/admin/accounts/user/add/", body).status_code == 302
    new = User.objects.get(username="new")
    rows = {"one": {"0-user": new.pk, "0-team": team.pk, "0-role": "operator"}}
    answer = pages.post(
        f"/admin/accounts/team/{team.pk}/change/", {"name": "Home", **inline(team, **rows)}
    )
    assert answer.status_code == 302
    assert Membership.objects.get(user=new).role == Role.OPERATOR


def test_somebody_is_locked_out_by_taking_active_away(pages, api, owner):
    client = api(owner)
    assert client.get("/auth/me").status_code == 200
    body = {"username": "owner", "email": owner.email, **inline(None)}
    answer = pages.post(f"/admin/accounts/user/{owner.pk}/change/", body)
    assert answer.status_code == 302
    assert client.get("/auth/me").status_code == 401


def test_staff_see_their_team_mates_but_change_nobody(client, owner, mate, stranger, team):
    User.objects.filter(pk=owner.pk).update(is_staff=True)
    client.force_login(User.objects.get(pk=owner.pk))
    page = client.get("/admin/accounts/user/").content.decode()
    assert "mate" in page
    assert "stranger" not in page
    for user in (owner, mate, stranger):
        body = {"username": "changed", "is_superuser": "on", **inline(None)}
        answer = client.post(f"/admin/accounts/user/{user.pk}/change/", body)
        assert answer.status_code in {302, 403}
        assert not User.objects.filter(username="changed").exists()
    assert client.get(f"/admin/accounts/user/{mate.pk}/password/").status_code == 403
    assert client.get("/admin/accounts/user/add/").status_code == 403
    assert client.get(f"/admin/accounts/team/{team.pk}/change/").status_code == 200


def test_a_team_admin_among_the_staff_gives_roles_in_the_own_team_to_those_in_sight(
    client, owner, mate, stranger, team
):
    User.objects.filter(pk=owner.pk).update(is_staff=True)
    client.force_login(User.objects.get(pk=owner.pk))
    rows = {"one": {"0-user": stranger.pk, "0-team": team.pk, "0-role": "admin"}}
    address = f"/admin/accounts/team/{team.pk}/change/"
    assert client.post(address, {"name": "Home", **inline(team, **rows)}).status_code == 200
    assert not Membership.objects.filter(user=stranger, team=team).exists()


def test_who_is_no_staff_is_sent_to_the_login(client, owner):
    client.force_login(owner)
    assert client.get("/admin/accounts/user/").status_code == 302


def test_history_tells_that_a_secret_changed_and_not_what_to(pages, team):
    database = apps.get_model("backups", "Database").objects.create(
        team=team, name="shop", dbname="shop", username="u", password="hunter2"
    )
    address = f"/admin/backups/database/{database.pk}/change/"
    page = pages.get(address).content.decode()
    assert "hunter2" not in page
    assert "v1:" not in page
