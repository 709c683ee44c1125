"""`/api/users` and `/api/teams`, and the OpenAPI document that tells of every door."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.test import Client

pytestmark = pytest.mark.django_db


def names(answer, field: str = "username") -> list[str]:
    return [row[field] for row in answer.json()["results"]]


def test_it_works(api, owner, mate, stranger):
    answer = api(owner).get("/api/users")
    assert names(answer) == ["mate", "owner"]
    assert set(answer.json()) == {"count", "next", "previous", "results"}


def test_strangers_and_their_teams_are_not_there(api, owner, stranger):
    client = api(owner)
    assert client.get(f"/api/users/{stranger.pk}").status_code == 404
    assert names(client.get("/api/teams"), "name") == ["Home"]
    assert names(api(stranger).get("/api/teams"), "name") == ["Elsewhere"]


def test_a_superuser_sees_everybody(api, superuser, owner, stranger):
    assert names(api(superuser).get("/api/users")) == ["owner", "root", "stranger"]


def test_they_can_be_filtered_ordered_and_paged(api, owner, mate, viewer):
    client = api(owner)
    assert names(client.get("/api/users?username=mate")) == ["mate"]
    assert names(client.get("/api/users?ordering=-username")) == ["viewer", "owner", "mate"]
    page = client.get("/api/users?page=2&page_size=2")
    assert names(page) == ["viewer"]
    assert client.get("/api/users?page=9").status_code == 404


def test_they_are_only_read(api, superuser):
    client = api(superuser)
    assert client.post("/api/users", {"username": "x"}).status_code == 405
    assert client.delete(f"/api/users/{superuser.pk}").status_code == 405


def test_nothing_of_a_password_comes_out(api, owner):
    answers = [api(owner).get(address) for address in ("/api/users", "/auth/me")]
    assert not any(b"pbkdf2" in answer.content for answer in answers)


def test_the_openapi_document_is_made_without_a_warning(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", tmp_path / "api.yml")


def test_the_openapi_document_tells_problems(client: Client):
    document = client.get("/api/schema/?format=json").json()
    login = document["paths"]["/auth/login"]["post"]
    assert {"200", "400", "401", "429"} <= set(login["responses"])
    assert "application/problem+json" in login["responses"]["400"]["content"]
    users = document["paths"]["/api/users/{id}/"]["get"]
    assert {"200", "401", "404"} <= set(users["responses"])


def test_the_documentation_page_loads_nothing_from_elsewhere(client: Client):
    page = client.get("/api/docs/")
    assert page.status_code == 200
    assert b"swagger-ui" in page.content
    assert b"//cdn" not in page.content
    assert b'src="http' not in page.content
    style = client.get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css")
    style.close()
    assert style.status_code == 200
