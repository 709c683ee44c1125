"""Every route of the REST door, asked by everybody."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.urls import resolve

from backups.api.routes import router
from backups.models import Backup, Proof, Restore

pytestmark = pytest.mark.django_db

DATABASE = {"name": "more", "host": "db", "dbname": "more", "username": "keeper"}
DESTINATION = {"name": "more", "options": {"folder": "/var/backups/more"}}
PLAN = {"name": "more", "database": "{database}", "destination": "{destination}"}
SCHEDULE = {"name": "more", "plan": "{plan}", "cron": "@daily"}
CHANNEL = {"name": "more", "address": "https://hooks.slack.com/services/more"}
PLACES = ("{database}", "{destination}", "{plan}", "{backup}")
INTO = {"target": "{database}", "dbname": "copy"}

# method, path, body, then what an admin, an operator and a viewer of the team are answered.
# A stranger's answer follows: 404 for a row, an empty list, 400 for a reference to a row.
ROUTES = [
    ("get", "databases/", None, 200, 200, 200),
    ("post", "databases/", DATABASE, 201, 403, 403),
    ("get", "databases/{database}/", None, 200, 200, 200),
    ("put", "databases/{database}/", DATABASE | {"password": "new"}, 200, 403, 403),
    ("patch", "databases/{database}/", {"dbname": "x"}, 200, 403, 403),
    ("delete", "databases/{database}/", None, 409, 403, 403),
    ("post", "databases/{database}/check/", None, 422, 422, 403),
    ("get", "destinations/", None, 200, 200, 200),
    ("post", "destinations/", DESTINATION, 201, 403, 403),
    ("get", "destinations/{destination}/", None, 200, 200, 200),
    ("put", "destinations/{destination}/", DESTINATION, 200, 403, 403),
    ("patch", "destinations/{destination}/", {"name": "x"}, 200, 403, 403),
    ("delete", "destinations/{destination}/", None, 409, 403, 403),
    ("post", "destinations/{destination}/check/", None, 200, 200, 403),
    ("get", "plans/", None, 200, 200, 200),
    ("post", "plans/", PLAN, 201, 403, 403),
    ("get", "plans/{plan}/", None, 200, 200, 200),
    ("put", "plans/{plan}/", PLAN, 200, 403, 403),
    ("patch", "plans/{plan}/", {"enabled": False}, 200, 403, 403),
    ("delete", "plans/{plan}/", None, 204, 403, 403),
    ("post", "plans/{plan}/run/", None, 202, 202, 403),
    ("get", "schedules/", None, 200, 200, 200),
    ("post", "schedules/", SCHEDULE, 201, 403, 403),
    ("get", "schedules/{schedule}/", None, 200, 200, 200),
    ("put", "schedules/{schedule}/", SCHEDULE, 200, 403, 403),
    ("patch", "schedules/{schedule}/", {"cron": "@hourly"}, 200, 403, 403),
    ("delete", "schedules/{schedule}/", None, 204, 403, 403),
    ("post", "schedules/{schedule}/pause/", None, 200, 200, 403),
    ("post", "schedules/{schedule}/resume/", None, 200, 200, 403),
    ("get", "schedules/{schedule}/firings/", None, 200, 200, 200),
    ("get", "notifications/", None, 200, 200, 200),
    ("post", "notifications/", CHANNEL, 201, 403, 403),
    ("get", "notifications/{channel}/", None, 200, 200, 200),
    ("put", "notifications/{channel}/", CHANNEL, 200, 403, 403),
    ("patch", "notifications/{channel}/", {"enabled": False}, 200, 403, 403),
    ("delete", "notifications/{channel}/", None, 204, 403, 403),
    ("post", "notifications/{channel}/test/", None, 202, 202, 403),
    ("get", "notifications/{channel}/deliveries/", None, 200, 200, 200),
    ("get", "backups/", None, 200, 200, 200),
    ("post", "backups/", {"plan": "{plan}"}, 202, 202, 403),
    ("get", "backups/{backup}/", None, 200, 200, 200),
    ("post", "backups/{backup}/restore/", INTO, 202, 202, 403),
    ("post", "backups/{backup}/prove/", None, 202, 202, 403),
    ("post", "backups/{backup}/cancel/", None, 409, 409, 403),
    ("get", "restores/", None, 200, 200, 200),
    ("post", "restores/", {"backup": "{backup}", **INTO}, 202, 202, 403),
    ("get", "restores/{restore}/", None, 200, 200, 200),
    ("post", "restores/{restore}/cancel/", None, 409, 409, 403),
    ("get", "proofs/", None, 200, 200, 200),
    ("post", "proofs/", {"backup": "{backup}"}, 202, 202, 403),
    ("get", "proofs/{proof}/", None, 200, 200, 200),
    ("post", "proofs/{proof}/cancel/", None, 409, 409, 403),
]
each_route = pytest.mark.parametrize(
    ("method", "path", "body", "admin", "operator", "looker"),
    ROUTES,
    ids=[f"{method} {path}" for method, path, *_ in ROUTES],
)


@pytest.fixture
def ids(database, destination, plan, schedule, channel, backup, restore, proof) -> dict[str, str]:
    rows = {
        "database": database,
        "destination": destination,
        "plan": plan,
        "schedule": schedule,
        "channel": channel,
        "backup": backup,
        "restore": restore,
        "proof": proof,
    }
    return {name: str(row.pk) for name, row in rows.items()}


def ask(client, ids, method, path, body):
    filled = {
        name: value.format(**ids) if isinstance(value, str) else value
        for name, value in (body or {}).items()
    }
    url = "/api/" + path.format(**ids)
    return getattr(client, method)(url, filled if body else None, format="json")


def test_it_works(api, owner, ids):
    answer = api(owner).get("/api/backups/")
    assert answer.status_code == 200
    assert [row["id"] for row in answer.json()["results"]] == [ids["backup"]]


def test_every_route_is_in_the_table():
    served = {
        (method, url.callback.cls, action)
        for url in router.urls
        for method, action in url.callback.actions.items()
        if method != "head"
    }
    row = {"database": 1, "destination": 1, "plan": 1, "schedule": 1, "channel": 1}
    row |= dict.fromkeys(("backup", "restore", "proof"), uuid4())
    listed = set()
    for method, path, *_ in ROUTES:
        view = resolve("/api/" + path.format(**row)).func
        listed.add((method, view.cls, view.actions[method]))
    assert listed == served


@each_route
def test_each_role_is_answered_as_the_policy_says(
    api, owner, mate, viewer, ids, method, path, body, admin, operator, looker
):
    for user, status in ((viewer, looker), (mate, operator), (owner, admin)):
        answer = ask(api(user), ids, method, path, body)
        assert answer.status_code == status, (user, answer.content)
        if status >= 400:
            assert answer["Content-Type"] == "application/problem+json"
            assert answer.json()["status"] == status


@each_route
def test_a_stranger_finds_nothing(api, stranger, ids, method, path, body, admin, operator, looker):
    before = [model.objects.count() for model in (Backup, Restore, Proof)]
    answer = ask(api(stranger), ids, method, path, body)
    if "{" in path:
        assert answer.status_code == 404, answer.content
    elif method == "get":
        assert answer.json()["count"] == 0
    elif references := {name for name, value in body.items() if value in PLACES}:
        assert answer.status_code == 400, answer.content
        assert set(answer.json()["errors"]) == references
    assert [model.objects.count() for model in (Backup, Restore, Proof)] == before


@each_route
def test_nobody_is_asked_to_log_in(api, ids, method, path, body, admin, operator, looker):
    assert ask(api(), ids, method, path, body).status_code == 401


@pytest.mark.parametrize("path", sorted({path for _, path, *_ in ROUTES}))
def test_addresses_answer_with_and_without_the_last_slash(api, owner, ids, path):
    for form in (path, path.rstrip("/")):
        answer = api(owner).options("/api/" + form.format(**ids))
        assert answer.status_code == 200, form
