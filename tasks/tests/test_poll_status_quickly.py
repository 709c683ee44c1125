"""The quick way to a task's status says just what the view says, and only to whom it would."""

from __future__ import annotations

import pytest

from accounts.models import Membership
from tasks.states import Outcome
from tasks.tests.crew import until
from tasks.tests.work import ended_task, new_task, running_task

pytestmark = pytest.mark.django_db(transaction=True)

AROUND = "?wait=0"  # the view answers what has a query


@pytest.fixture
def tasks_of_all_kinds(team, owner):
    ended = [ended_task(team), ended_task(team, Outcome.FAILED, error="It went wrong.")]
    running = running_task(team)
    running.report(30, line="so far")
    return [new_task(team, owner), running.task, *ended]


def plain(answer) -> tuple[int, object, dict[str, str]]:
    told = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("date", "server", "allow", "content-length", "vary", "connection")
        and not name.startswith("cross-origin")
    }
    return answer.status_code, answer.json() if answer.content else None, told


def test_it_works(web, owner, tasks_of_all_kinds):
    with web.client(owner) as client:
        for task in tasks_of_all_kinds:
            path = f"/task/status/{task.pk}"
            quick, view = client.get(path), client.get(path + AROUND)
            assert plain(quick) == plain(view)
            assert quick.status_code == 200
            assert "cross-origin-opener-policy" in view.headers  # it really was the view
            assert "cross-origin-opener-policy" not in quick.headers


def test_what_is_known_is_not_said_again(web, owner, tasks_of_all_kinds):
    with web.client(owner) as client:
        path = f"/task/status/{tasks_of_all_kinds[0].pk}"
        etag = client.get(path).headers["ETag"]
        for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            answer = client.get(path, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content) == (304, b"")
        assert client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200


def test_others_learn_nothing(web, stranger, mate, tasks_of_all_kinds):
    path = f"/task/status/{tasks_of_all_kinds[0].pk}"
    with web.client(stranger) as client:
        assert client.get(path).status_code == 404
    with web.client(mate) as client:
        assert client.get(path).status_code == 200
    with web.client() as client:
        assert client.get(path).status_code == 401
        for bad in ("Bearer nonsense", "Bearer", "Bearer \xff"):
            headers = {"Authorization": bad.encode("latin-1")}
            assert client.get(path, headers=headers).status_code == 401


@pytest.mark.alone
def test_who_leaves_the_team_is_out_within_seconds(web, mate, tasks_of_all_kinds):
    path = f"/task/status/{tasks_of_all_kinds[0].pk}"
    with web.client(mate) as client:
        assert client.get(path).status_code == 200
        Membership.objects.filter(user=mate).delete()
        until(lambda: client.get(path).status_code == 404, 4)


def test_a_change_shows_at_once(web, owner, team):
    running = running_task(team)
    with web.client(owner) as client:
        path = f"/task/status/{running.task.pk}"
        client.get(path)
        running.report(77)
        assert client.get(path).json()["progress"]["done"] == 77


@pytest.mark.parametrize("name", ["x", "00000000-0000-0000-0000-000000000000", ""])
def test_what_is_no_task_is_404(web, owner, name):
    with web.client(owner) as client:
        assert client.get(f"/task/status/{name}").status_code == 404
