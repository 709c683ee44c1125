"""The OpenAPI document says of this door what it does."""

from __future__ import annotations

import io
from uuid import uuid4

import pytest
import yaml
from django.core.management import call_command

from backups.tests.test_guard_api import ROUTES

PROBLEM = {"$ref": "#/components/schemas/Problem"}


@pytest.fixture(scope="module")
def document() -> dict:
    """Made without a warning, and valid OpenAPI."""
    told = io.StringIO()
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=told)
    return yaml.safe_load(told.getvalue())


def operation(document, method, path) -> dict:
    nouns = ("database", "destination", "plan", "schedule", "channel")
    for name in (*nouns, "backup", "restore", "proof"):
        path = path.replace(f"{{{name}}}", "{id}")
    return document["paths"][f"/api/{path}"][method]


def test_it_works(document):
    assert document["openapi"].startswith("3.")
    assert document["components"]["schemas"]["Problem"]["required"] == [
        "type",
        "title",
        "status",
        "detail",
    ]


@pytest.mark.parametrize(("method", "path", "body", "answer"), [route[:4] for route in ROUTES])
def test_every_route_and_its_answers_are_in_it(document, method, path, body, answer):
    described = operation(document, method, path)
    for status in {str(answer), "401", "403"}:
        assert status in described["responses"], status
    assert ("requestBody" in described) == (body is not None)
    for status, told in described["responses"].items():
        if status >= "400":
            assert told["content"] == {"application/problem+json": {"schema": PROBLEM}}, status


def test_secrets_are_written_and_not_read(document):
    secrets = {"Database": "password", "Destination": "secret", "Channel": "address"}
    for noun, field in secrets.items():
        told = document["components"]["schemas"][noun]["properties"][field]
        assert told["writeOnly"] is True


def test_starting_a_backup_takes_a_key_and_answers_where_to_follow_it(document):
    for path in ("plans/{plan}/run/", "backups/"):
        described = operation(document, "post", path)
        assert "Idempotency-Key" in {told["name"] for told in described["parameters"]}
        for status in ("200", "202"):
            assert "Location" in described["responses"][status]["headers"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("schema", "row", "noun"),
    [
        ("Database", "database", "databases"),
        ("Destination", "bucket", "destinations"),
        ("Plan", "plan", "plans"),
        ("BackupDetail", "backup", "backups"),
        ("Restore", "restore", "restores"),
        ("Proof", "proof", "proofs"),
    ],
)
def test_an_answer_has_the_fields_that_it_tells(request, document, api, viewer, schema, row, noun):
    pk = request.getfixturevalue(row).pk
    shown = api(viewer).get(f"/api/{noun}/{pk}/").json()
    schemas = document["components"]["schemas"]
    fields = schemas[schema]["properties"].items()
    assert set(shown) == {name for name, told in fields if not told.get("writeOnly")}
    if "task" in shown:
        assert set(shown["task"]) == set(schemas["TaskFigures"]["properties"])


@pytest.mark.django_db
def test_what_is_not_there_is_a_problem_document(api, viewer):
    for path in ("databases/999/", f"backups/{uuid4()}/", "nothing/"):
        answer = api(viewer).get(f"/api/{path}")
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
