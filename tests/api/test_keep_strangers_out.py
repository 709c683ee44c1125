"""What is not yours to see is 404: every operation with an id in its address, every page, every
socket, every file, asked by everybody.

The operations are those of the OpenAPI document, the pages those of Django's addresses: a new one
is asked too, or the tests say that nobody knows how.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from tasks.live.routing import websocket_urlpatterns
from tests.api.asking import GRANTED, NOT_GRANTED, Ask, Least
from tests.api.document import Operation, operations

pytestmark = pytest.mark.django_db(transaction=True)

MAY = {
    Least.VIEWER: {"viewer", "mate", "owner", "superuser"},
    Least.OPERATOR: {"mate", "owner", "superuser"},
    Least.ADMIN: {"owner", "superuser"},
    Least.STAFF: {"superuser"},
    Least.LOGIN: {"viewer", "mate", "owner", "superuser", "stranger"},
    Least.SECRET: {"viewer", "mate", "owner", "superuser", "stranger", "nobody"},
}
ABOUT_NO_TEAM = (Least.STAFF, Least.LOGIN)
TELLS_WHO_PAUSED = ("/api/pauses/", "/api/queues/")


@pytest.fixture
def clients(web, people) -> Iterator[dict[str, httpx.Client]]:
    made = {name: web.client(user) for name, user in people.items()}
    yield made
    for client in made.values():
        client.close()


def expected(label: str, asker: str) -> set[int]:
    least, _ = GRANTED[label]
    if asker in MAY[least]:
        return {409, 422} if label in NOT_GRANTED else {200, 201, 202, 204}
    if asker == "nobody":
        return {401}
    return {404} if asker == "stranger" and least not in ABOUT_NO_TEAM else {403}


def send(client: httpx.Client, operation: Operation, ask: Ask) -> httpx.Response:
    body: dict[str, Any] = {"json": ask.body} if ask.body is not None else {}
    if ask.content is not None:
        body = {"content": ask.content}
    path = ask.address(operation.path)
    return client.request(operation.method, path, headers=ask.headers, **body)


def nothing_like(ask: Ask) -> Ask:
    """The same about what is not there at all."""
    [(name, known)] = ask.path.items()
    unknown = 10**9 if isinstance(known, int) else str(uuid4())
    return Ask(path={name: unknown}, headers=ask.headers, body=ask.body, content=ask.content)


def test_it_works(clients, own):
    path = f"/api/databases/{own.database().pk}/"
    assert clients["owner"].get(path).status_code == 200
    assert clients["stranger"].get(path).status_code == 404


def test_every_operation_about_a_thing_is_answered_as_the_role_allows(subtests, clients, own):
    for operation in operations():
        if "{" not in operation.path:
            continue
        _, asking = GRANTED[operation.label]
        for asker, client in clients.items():
            with subtests.test(operation.label, asker=asker):
                answer = send(client, operation, asking(own))
                assert answer.status_code in expected(operation.label, asker), answer.text
                if answer.status_code >= 400:
                    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_stranger_is_told_of_others_things_what_is_told_of_nothing(subtests, clients, own):
    stranger = clients["stranger"]
    for operation in operations():
        least, asking = GRANTED[operation.label]
        if "{" not in operation.path or "stranger" in MAY[least]:
            continue
        with subtests.test(operation.label):
            there, not_there = asking(own), nothing_like(asking(own))
            seen = send(stranger, operation, there), send(stranger, operation, not_there)
            assert seen[0].status_code == seen[1].status_code
            assert seen[0].content == seen[1].content


def test_a_stranger_finds_nothing_of_ours_in_lists(subtests, clients, own):
    for _, asking in GRANTED.values():
        asking(own)
    for operation in operations():
        if operation.method != "GET" or "{" in operation.path:
            continue
        with subtests.test(operation.label):
            shown = clients["stranger"].get(operation.path).text
            found = {name for name in own.names if f'"{name}"' in shown}
            assert {name for name in found if not name.startswith(("queue-", "machine-"))} == set()
            assert f'"{own.team.name}"' not in shown
            assert f'"{own.owner.username}"' not in shown or operation.path in TELLS_WHO_PAUSED


def test_a_socket_tells_a_stranger_nothing(web, people, own):
    routes = [str(each.pattern) for each in websocket_urlpatterns]
    assert routes == ["ws/tasks", "ws/tasks/<uuid:pk>", ""], "one more to be tried here"
    task = own.task()
    for asker, user in people.items():
        with web.listen(f"/ws/tasks/{task.pk}", user) as socket:
            if asker in MAY[Least.VIEWER]:
                assert socket.next()["task"]["id"] == str(task.pk)
            else:
                assert socket.closed() == (4401 if asker == "nobody" else 4404)
                assert socket.heard == []
    with web.listen("/ws/tasks", people["stranger"]) as socket:
        assert socket.next()["tasks"] == []


def test_a_file_goes_to_the_team_alone(web, clients, own):
    artifact = own.artifact(web.log.parent / "uploads")
    for asker, client in clients.items():
        answer = client.get(f"/task/result/{artifact.task_id}")
        if asker in MAY[Least.VIEWER]:
            assert (answer.status_code, answer.content) == (200, b"city,sold\n")
        else:
            assert answer.status_code == (401 if asker == "nobody" else 404)
            assert b"sold" not in answer.content


# Pages ------------------------------------------------------------------------------------------


def pages(resolver: URLResolver | None = None, before: str = "") -> Iterator[str]:
    """The addresses of pages with an id in them: `databases/<int:pk>/edit`."""
    for each in (resolver or get_resolver()).url_patterns:
        path = f"{before}{each.pattern}"
        if isinstance(each, URLResolver):
            if path not in ("admin/", "api/"):
                yield from pages(each, path)
        elif isinstance(each.pattern, RoutePattern) and "<" in path and "task/" not in path[:5]:
            yield path


def test_a_page_about_a_thing_is_not_there_for_a_stranger(subtests, people, own):
    things = {
        "databases": own.database,
        "destinations": own.destination,
        "plans": own.plan,
        "schedules": own.schedule,
        "notifications": own.channel,
        "backups": own.backup,
        "tasks": own.task,
        "files": lambda: own.upload().task,
        "workers": own.worker,
    }
    found = list(pages())
    assert {path.split("/")[0] for path in found} == set(things), "a kind of page nobody knows"
    for path in found:
        noun = path.split("/")[0]
        for method in ("get", "post"):
            with subtests.test(f"{method} /{path}"):
                seen = {}
                for asker in ("stranger", "nobody", "owner"):
                    client = Client()
                    if people[asker] is not None:
                        client.force_login(people[asker])
                    address = "/" + path.replace(path[path.index("<") : path.index(">") + 1], "{}")
                    answer = getattr(client, method)(address.format(things[noun]().pk))
                    seen[asker] = answer.status_code
                    if asker == "nobody":
                        assert answer.headers["Location"].startswith("/login?next=")
                if noun != "workers":  # which are no team's: only staff may press anything
                    assert seen["stranger"] in (404, 405)
                    assert seen["owner"] in (200, 302, 405)
                assert seen["stranger"] != seen["owner"] or seen["owner"] in (403, 405)
