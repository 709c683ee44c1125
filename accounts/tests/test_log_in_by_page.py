"""`/login` and `/logout`: the session of a browser, and the admin's own login."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.throttle import PER_NAME_AND_ADDRESS

pytestmark = pytest.mark.django_db


@pytest.fixture
def post(client, password):
    def post(username: str, password: str = password, address: str = "/login"):
        return client.post(address, {"username": username, "password": password})

    return post


def test_it_works(client, post, owner):
    assert reverse("login") == "/login"
    page = client.get("/login")
    assert page.status_code == 200
    assert b"csrfmiddlewaretoken" in page.content
    assert post("owner@example.org").status_code == 302
    assert client.session["_auth_user_id"] == str(owner.pk)
    assert client.get("/auth/me").json()["username"] == "owner"


def test_it_goes_on_to_where_one_wanted_but_never_elsewhere(client, owner, password):
    body = {"username": "owner", "password": password}
    assert client.post("/login?next=/auth/me", body).headers["Location"] == "/auth/me"
    client.logout()
    away = client.post("/login?next=https://evil.example/", body)
    assert "evil" not in away.headers["Location"]


def test_a_wrong_password_is_told_on_the_page(client, post, owner):
    page = post("owner", "wrong")
    assert page.status_code == 200
    assert page.context["form"].errors
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("address", ["/login", "/admin/login/"])
def test_too_many_failures_are_told_in_a_sentence_on_either_page(post, superuser, address):
    for _ in range(PER_NAME_AND_ADDRESS):
        post("root", "wrong", address)
    page = post("root", address=address)
    assert b"Too many failed logins" in page.content


def test_the_page_says_so_to_programs_too_and_shares_its_count_with_the_api(api, post, owner):
    for _ in range(PER_NAME_AND_ADDRESS):
        post("owner", "wrong")
    page = post("owner")
    assert page.status_code == 429
    assert int(page.headers["Retry-After"]) > 0
    body = {"username": "owner", "password": "wrong"}
    assert api().post("/auth/login", body).status_code == 429


def test_logging_out_takes_a_post_and_ends_the_session(client, post, owner):
    post("owner")
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").status_code == 302
    assert client.get("/auth/me").status_code == 401


def test_a_disabled_users_session_ends(client, post, owner):
    post("owner")
    owner.is_active = False
    owner.save()
    assert client.get("/auth/me").status_code == 401


def test_a_session_without_its_csrf_token_changes_nothing(owner):
    from rest_framework.test import APIClient

    client = APIClient(enforce_csrf_checks=True)
    client.force_login(owner)
    refused = client.post("/api/users", {})
    assert refused.status_code == 403
    assert refused.headers["Content-Type"] == "application/problem+json"
