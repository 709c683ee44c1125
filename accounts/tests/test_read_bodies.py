"""What comes in the body of a request is JSON that can be kept, or is refused by field."""

from __future__ import annotations

import json

import pytest
from django.urls import path
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import reading
from accounts.reading import UnreadableError


class Body(serializers.Serializer):
    name = serializers.CharField(required=False)
    options = serializers.DictField(required=False)


class Door(APIView):
    permission_classes = []

    def post(self, request):
        body = Body(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(body.validated_data)


urlpatterns = [path("api/door", Door.as_view())]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def post(api):
    def send(body: bytes | str, content_type: str = "application/json"):
        return api().generic("POST", "/api/door", body, content_type=content_type)

    return send


def test_it_works(post):
    body = {"name": "ü", "options": {"deep": [1, 1.5, None, {"a": True}]}}
    assert post(json.dumps(body)).json() == body
    assert post("name=%C3%BC", "application/x-www-form-urlencoded").json() == {"name": "ü"}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ('{"a": "b\\u0000"}', "options.a"),
        ('{"a": [0, {"b": "\\ud800"}]}', "options.a.1.b"),
        ('{"a": "\\udc00\\ud800"}', "options.a"),
        ('{"\\u0000": 1}', "options"),
        ('{"a": 1e999}', "options.a"),
        ('{"a": -1e999}', "options.a"),
    ],
)
def test_what_no_database_can_keep_is_refused_by_field(post, options, field):
    refused = post(f'{{"options": {options}}}')
    assert refused.status_code == 400
    assert set(refused.json()["errors"]) == {field}


def test_so_it_is_in_a_form(post):
    form = '--b\r\nContent-Disposition: form-data; name="options.a"\r\n\r\nb\0\r\n--b--\r\n'
    for body, kind in (
        ("options.a=b%00", "application/x-www-form-urlencoded"),
        (form, "multipart/form-data; boundary=b"),
    ):
        refused = post(body, kind)
        assert refused.status_code == 400
        assert set(refused.json()["errors"]) == {"options.a.0"}


@pytest.mark.parametrize(
    "body",
    [
        '{"options": {"a": NaN}}',
        '{"options": {"a": -Infinity}}',
        "[" * 100_000,
        '{"a":' * 200 + "1" + "}" * 200,
        '{"options": {"a": ' + "9" * 5000 + "}}",
        b'{"name": "\xff"}',
        "{",
    ],
)
def test_what_is_no_json_or_nested_without_end_is_refused(post, body):
    refused = post(body)
    assert refused.status_code == 400
    assert refused.json()["detail"]


def test_json_is_in_utf_8_whatever_charset_is_said(post):
    assert post('{"name": "ü"}', "application/json; charset=zlib").json() == {"name": "ü"}


def test_a_body_larger_than_anybody_means_it_is_refused(post, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    for body, kind in (
        (json.dumps({"name": "x" * 100}), "application/json"),
        ("name=" + "x" * 100, "application/x-www-form-urlencoded"),
    ):
        refused = post(body, kind)
        assert refused.status_code == 413
        assert refused["Content-Type"] == "application/problem+json"


def test_what_is_nested_as_deep_as_may_be_is_read():
    deepest = "[" * reading.DEEPEST + "]" * reading.DEEPEST
    assert reading.faults_of(reading.json_of(deepest)) == {}
    with pytest.raises(UnreadableError, match="deep"):
        reading.json_of(f"[{deepest}]")


def test_a_pair_of_surrogates_is_a_character():
    assert reading.faults_of(reading.json_of('"\\ud83d\\udc18"')) == {}
