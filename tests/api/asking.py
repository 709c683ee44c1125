"""How each operation of the document is asked so that it is granted, and who may ask.

A new endpoint needs a row here: without one the tests of this folder say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from accounts import tokens
from conftest import PASSWORD
from tasks.models import Worker
from tasks.states import Status
from tasks.uploads import capability
from tests.api.belongings import Belongings


class Least(Enum):
    """The least that an operation takes."""

    ANYBODY = auto()
    SECRET = auto()  # its address
    LOGIN = auto()
    VIEWER = auto()
    OPERATOR = auto()
    ADMIN = auto()
    STAFF = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request. `body` goes as JSON, `content` as it is."""

    path: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    content: bytes | None = None

    def address(self, template: str) -> str:
        return template.format(**self.path)


Asking = Callable[[Belongings], Ask]
Table = dict[str, tuple[Least, Asking]]


def _id(row: Any, **more: Any) -> Ask:
    return Ask(path={"id": row.pk if isinstance(row.pk, int) else str(row.pk)}, **more)


def _database(own: Belongings) -> dict[str, Any]:
    return {
        "team": own.team.pk,
        "name": own.name("database"),
        "host": "127.0.0.1",
        "dbname": "shop",
        "username": "keeper",
        "password": "s3cret",
    }


def _destination(own: Belongings) -> dict[str, Any]:
    options = {"folder": str(own.folder)}
    return {"team": own.team.pk, "name": own.name("place"), "kind": "local", "options": options}


def _plan(own: Belongings) -> dict[str, Any]:
    return {
        "team": own.team.pk,
        "name": own.name("plan"),
        "database": own.database().pk,
        "destination": own.destination().pk,
        "compression": "zstd",
        "compression_level": 3,
    }


def _schedule(own: Belongings) -> dict[str, Any]:
    plan = own.plan().pk
    return {"team": own.team.pk, "name": own.name("each"), "plan": plan, "cron": "@daily"}


def _channel(own: Belongings) -> dict[str, Any]:
    return {
        "team": own.team.pk,
        "name": own.name("channel"),
        "kind": "apprise",
        "address": "json://127.0.0.1:1/secret",
        "events": ["failure"],
    }


def _webhook(own: Belongings) -> dict[str, Any]:
    return {
        "team": own.team.pk,
        "name": own.name("webhook"),
        "url": "https://example.org/secret",
        "jobs": ["inspect"],
    }


def _into(own: Belongings) -> dict[str, Any]:
    return {"target": own.database().pk, "dbname": "copy", "replace": True}


def _kept(noun: str, row: Callable[[Belongings], Any], body: Callable[[Belongings], Any]) -> Table:
    """What is made, read, changed and removed in the usual way."""
    many, one = f"/api/{noun}/", f"/api/{noun}/{{id}}/"
    return {
        f"GET {many}": (Least.LOGIN, lambda own: Ask()),
        f"POST {many}": (Least.ADMIN, lambda own: Ask(body=body(own))),
        f"GET {one}": (Least.VIEWER, lambda own: _id(row(own))),
        f"PUT {one}": (Least.ADMIN, lambda own: _id(row(own), body=body(own))),
        f"PATCH {one}": (Least.ADMIN, lambda own: _id(row(own), body={"name": own.name("new")})),
        f"DELETE {one}": (Least.ADMIN, lambda own: _id(row(own))),
    }


def _read(noun: str, row: Callable[[Belongings], Any], least: Least = Least.VIEWER) -> Table:
    return {
        f"GET /api/{noun}/": (Least.LOGIN, lambda own: Ask()),
        f"GET /api/{noun}/{{id}}/": (least, lambda own: _id(row(own))),
    }


TUS = {"Tus-Resumable": "1.0.0"}
OFFSET = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
LENGTH = {**TUS, "Upload-Length": "5"}


def _upload(own: Belongings, **more: Any) -> Ask:
    return Ask(path={"upload_id": capability.of(own.upload().pk)}, **more)


GRANTED: Table = {
    "POST /auth/login": (
        Least.ANYBODY,
        lambda own: Ask(body={"username": own.owner.username, "password": PASSWORD}),
    ),
    "POST /auth/refresh": (
        Least.ANYBODY,
        lambda own: Ask(body={"refresh": tokens.pair_for(own.owner).refresh}),
    ),
    "POST /auth/logout": (
        Least.ANYBODY,
        lambda own: Ask(body={"refresh": tokens.pair_for(own.owner).refresh}),
    ),
    "GET /auth/me": (Least.LOGIN, lambda own: Ask()),
    "GET /statusz": (Least.ANYBODY, lambda own: Ask()),
    **_read("users", lambda own: own.owner),
    **_read("teams", lambda own: own.team),
    # Tasks
    **_read("tasks", Belongings.task),
    "POST /api/tasks/{id}/cancel/": (Least.OPERATOR, lambda own: _id(own.task())),
    "POST /api/tasks/{id}/retry/": (Least.OPERATOR, lambda own: _id(own.task(Status.FAILED))),
    "GET /api/tasks/{id}/events/": (Least.VIEWER, lambda own: _id(own.task())),
    "POST /api/tasks/bulk/": (
        Least.OPERATOR,
        lambda own: Ask(
            body={"action": "cancel", "team": own.team.pk, "filter": {"id": str(own.task().pk)}}
        ),
    ),
    **_read("events", Belongings.event),
    **_read("pauses", Belongings.pause, Least.LOGIN),
    "POST /api/pauses/": (
        Least.STAFF,
        lambda own: Ask(body={"kind": "queue", "name": own.name("queue"), "reason": "Moving"}),
    ),
    "DELETE /api/pauses/{id}/": (Least.STAFF, lambda own: _id(own.pause())),
    **_read("workers", Belongings.worker, Least.LOGIN),
    "POST /api/workers/{id}/drain/": (Least.STAFF, lambda own: _id(own.worker())),
    "GET /api/queues/": (Least.LOGIN, lambda own: Ask()),
    "GET /api/jobs/": (Least.LOGIN, lambda own: Ask()),
    "GET /api/jobs/{name}/": (Least.LOGIN, lambda own: Ask(path={"name": "inspect"})),
    **_kept("webhooks", Belongings.webhook, _webhook),
    "POST /api/webhooks/{id}/test/": (Least.OPERATOR, lambda own: _id(own.webhook())),
    "POST /api/webhooks/{id}/rotate/": (Least.ADMIN, lambda own: _id(own.webhook())),
    "GET /api/webhooks/{id}/deliveries/": (Least.VIEWER, lambda own: _id(own.webhook())),
    # The task service
    "POST /task/request": (
        Least.OPERATOR,
        lambda own: Ask(body={"job": "inspect", "filename": "orders.csv", "size": 5}),
    ),
    "GET /task/status/{id}": (Least.VIEWER, lambda own: _id(own.ended())),
    "POST /task/cancel/{id}": (Least.OPERATOR, lambda own: _id(own.task())),
    "GET /task/events/{id}": (Least.VIEWER, lambda own: _id(own.ended())),
    "GET /task/result/{id}": (Least.VIEWER, lambda own: _id(own.ended())),
    "POST /task/upload/": (Least.OPERATOR, lambda own: Ask(headers=LENGTH)),
    "POST /task/upload/{upload_id}": (
        Least.SECRET,
        lambda own: _upload(
            own, content=b"12345", headers={"Content-Type": "application/octet-stream"}
        ),
    ),
    "PATCH /task/upload/{upload_id}": (
        Least.SECRET,
        lambda own: _upload(own, content=b"123", headers=OFFSET),
    ),
    "DELETE /task/upload/{upload_id}": (Least.SECRET, lambda own: _upload(own, headers=TUS)),
    "POST /task/upload/{upload_id}/complete": (Least.SECRET, _upload),
    # Backups
    **_kept("databases", Belongings.database, _database),
    "POST /api/databases/{id}/check/": (Least.OPERATOR, lambda own: _id(own.database())),
    **_kept("destinations", Belongings.destination, _destination),
    "POST /api/destinations/{id}/check/": (Least.OPERATOR, lambda own: _id(own.destination())),
    **_kept("plans", Belongings.plan, _plan),
    "POST /api/plans/{id}/run/": (Least.OPERATOR, lambda own: _id(own.plan())),
    **_kept("schedules", Belongings.schedule, _schedule),
    "POST /api/schedules/{id}/pause/": (Least.OPERATOR, lambda own: _id(own.schedule())),
    "POST /api/schedules/{id}/resume/": (Least.OPERATOR, lambda own: _id(own.schedule())),
    "GET /api/schedules/{id}/firings/": (Least.VIEWER, lambda own: _id(own.schedule())),
    **_kept("notifications", Belongings.channel, _channel),
    "POST /api/notifications/{id}/test/": (Least.OPERATOR, lambda own: _id(own.channel())),
    "GET /api/notifications/{id}/deliveries/": (Least.VIEWER, lambda own: _id(own.channel())),
    **_read("backups", Belongings.backup),
    "POST /api/backups/": (Least.OPERATOR, lambda own: Ask(body={"plan": own.plan().pk})),
    "POST /api/backups/{id}/restore/": (
        Least.OPERATOR,
        lambda own: _id(own.backup(), body=_into(own)),
    ),
    "POST /api/backups/{id}/prove/": (Least.OPERATOR, lambda own: _id(own.backup())),
    "POST /api/backups/{id}/cancel/": (
        Least.OPERATOR,
        lambda own: _id(own.backup(Status.QUEUED)),
    ),
    **_read("restores", Belongings.restore),
    "POST /api/restores/": (
        Least.OPERATOR,
        lambda own: Ask(body={"backup": str(own.backup().pk), **_into(own)}),
    ),
    "POST /api/restores/{id}/cancel/": (Least.OPERATOR, lambda own: _id(own.restore())),
    **_read("proofs", Belongings.proof),
    "POST /api/proofs/": (
        Least.OPERATOR,
        lambda own: Ask(body={"backup": str(own.backup().pk)}),
    ),
    "POST /api/proofs/{id}/cancel/": (Least.OPERATOR, lambda own: _id(own.proof())),
}

NOT_GRANTED = {
    "POST /api/databases/{id}/check/": "422: no server answers (test_check_api.py has some)",
    "POST /task/upload/{upload_id}/complete": "409: files lie on disk (test_use_s3.py has S3)",
}
"""What can't be granted to anybody here, and what is answered instead."""


def ready_platform(own: Belongings) -> None:
    """Workers and a daemon, as far as `/statusz` can see, and something in every list."""
    own.worker()
    own.worker(Worker.Kind.DAEMON)
    own.canary()
