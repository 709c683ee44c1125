"""Whatever goes wrong behind a REST door is told as a problem document (RFC 9457)."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.http import require_POST
from rest_framework import exceptions, renderers, serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.errors import TooManyTriesError


class Inner(serializers.Serializer):
    level = serializers.IntegerField(min_value=1)


class Body(serializers.Serializer):
    name = serializers.CharField(max_length=3)
    options = Inner()
    items = Inner(many=True, required=False)


class Door(APIView):
    permission_classes = []
    error: Exception | None = None

    def get(self, request):
        if self.error:
            raise self.error
        return Response({"fine": True})

    def post(self, request):
        Body(data=request.data).is_valid(raise_exception=True)
        return Response({})


class PlainDoor(Door):
    renderer_classes = [renderers.StaticHTMLRenderer]


def plain(request):
    if "boom" in request.GET:
        raise RuntimeError("with a secret in it")
    if "odd" in request.GET:
        raise SuspiciousOperation
    if "tries" in request.GET:
        raise TooManyTriesError(77)
    return HttpResponse("no", status=410, headers={"X-Kept": "yes"})


def door(address: str, error: Exception | None = None, view=Door):
    return path(address, view.as_view(error=error))


urlpatterns = [
    door("api/door"),
    door("api/plain", exceptions.PermissionDenied("Not you."), PlainDoor),
    door("api/denied", DjangoPermissionDenied("Too small a role.")),
    door("api/slow", exceptions.Throttled(wait=1.2)),
    door("api/tries", TooManyTriesError(77)),
    door("api/model", DjangoValidationError({"name": ["Taken."]})),
    door("api/bare", exceptions.ValidationError("All of it is wrong.")),
    path("api/view", plain),
    path("task/view", require_POST(plain)),
    path("page", plain),
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def told(answer, status: int) -> dict:
    """The problem document, after all that must be true of every one."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"] == "about:blank"
    assert document["title"]
    return document


def test_it_works(api):
    assert told(api().get("/api/denied"), 403) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "Too small a role.",
    }


def test_a_refused_body_is_told_by_field(api):
    body = {"name": "long", "options": {"level": 0}, "items": [{"level": 1}, {"level": "x"}]}
    document = told(api().post("/api/door", body), 400)
    assert set(document["errors"]) == {"name", "options.level", "items.1.level"}
    assert all(isinstance(text, str) for texts in document["errors"].values() for text in texts)
    assert told(api().get("/api/model"), 400)["errors"] == {"name": ["Taken."]}


def test_an_error_of_no_field_is_the_detail(api):
    document = told(api().get("/api/bare"), 400)
    assert document["detail"] == "All of it is wrong."


def test_a_body_that_is_no_json_or_of_another_type_is_told(api):
    broken = api().post("/api/door", "{", content_type="application/json")
    assert "JSON" in told(broken, 400)["detail"]
    told(api().post("/api/door", "<a/>", content_type="text/xml"), 415)


def test_another_method_is_told_with_those_allowed(api):
    answer = api().delete("/api/door")
    told(answer, 405)
    assert "GET" in answer.headers["Allow"]


def test_waiting_is_told_in_whole_seconds_rounded_up(api):
    answer = api().get("/api/slow")
    told(answer, 429)
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize("address", ["/api/tries", "/api/view?tries"])
def test_too_many_logins_are_told_in_any_view(api, address):
    answer = api().get(address)
    assert "Try again in 77 seconds" in told(answer, 429)["detail"]
    assert answer.headers["Retry-After"] == "77"


def test_a_bad_token_is_told_with_a_challenge(api):
    client = api()
    client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
    answer = client.get("/api/door")
    told(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("address", ["/api/nothing", "/auth/nothing", "/task/nothing"])
def test_an_address_where_nothing_is_is_told(client, address):
    told(client.get(address), 404)


def test_answers_of_plain_views_are_told_and_keep_their_headers(client):
    answer = client.get("/api/view")
    told(answer, 410)
    assert answer.headers["X-Kept"] == "yes"
    refused = client.get("/task/view")
    told(refused, 405)
    assert refused.headers["Allow"] == "POST"
    told(client.get("/api/view?odd"), 400)


@pytest.mark.parametrize("debug", [True, False])
def test_a_crash_tells_nothing_of_its_inside(client, settings, debug):
    settings.DEBUG = debug
    client.raise_request_exception = False
    answer = client.get("/api/view?boom")
    told(answer, 500)
    assert b"secret" not in answer.content


def test_a_foreign_host_name_is_told_as_well(client):
    told(client.get("/api/door", headers={"host": "evil.example"}), 400)


def test_pages_keep_their_html(client):
    assert client.get("/page").headers["Content-Type"].startswith("text/html")
    assert client.get("/nothing").headers["Content-Type"].startswith("text/html")


def test_a_refusal_is_json_whatever_the_view_renders(client):
    assert told(client.get("/api/plain"), 403)["detail"] == "Not you."


@pytest.mark.parametrize("accept", ["application/problem+json", "image/png", "text/html"])
def test_what_a_client_accepts_is_a_wish(client, accept):
    assert client.get("/api/door", headers={"accept": accept}).json() == {"fine": True}
