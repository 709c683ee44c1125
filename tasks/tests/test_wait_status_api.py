"""`GET /task/status/<id>?wait=N` on a real web process."""

from __future__ import annotations

import threading
import time

import psutil
import pytest
from django.db import connection
from django.test import Client

from tasks import transitions
from tasks.tests.work import new_task, running_task

pytestmark = pytest.mark.django_db(transaction=True)


def cancel_in_a_moment(web, user, task) -> threading.Timer:
    def cancel() -> None:
        with web.client(user) as client:
            client.post(f"/task/cancel/{task.pk}")

    timer = threading.Timer(0.4, cancel)
    timer.start()
    return timer


@pytest.mark.alone
def test_it_works(web, team, owner):
    """The answer comes with the change, not with the end of the wait."""
    task = new_task(team)
    with web.client(owner) as client:
        begun = time.monotonic()
        timer = cancel_in_a_moment(web, owner, task)
        answer = client.get(f"/task/status/{task.pk}?wait=20")
        timer.join()
        assert answer.json()["status"] == "cancelled"
        assert 0.3 < time.monotonic() - begun < 5


@pytest.mark.alone
def test_progress_is_a_change(web, team, owner):
    run = running_task(team)
    with web.client(owner) as client:
        seen = client.get(f"/task/status/{run.task.pk}")
        run.report(40)
        # What changed between two questions isn't waited for: the tag tells.
        headers = {"If-None-Match": seen.headers["etag"]}
        begun = time.monotonic()
        answer = client.get(f"/task/status/{run.task.pk}?wait=20", headers=headers)
        assert answer.json()["progress"]["done"] == 40
        assert time.monotonic() - begun < 5


@pytest.mark.alone
def test_nothing_new_is_told_when_the_time_is_up(web, team, owner):
    task = new_task(team)
    with web.client(owner) as client:
        tag = client.get(f"/task/status/{task.pk}").headers["etag"]
        begun = time.monotonic()
        again = client.get(f"/task/status/{task.pk}?wait=1", headers={"If-None-Match": tag})
        assert again.status_code == 304
        assert 1 <= time.monotonic() - begun < 5
        assert client.get(f"/task/status/{task.pk}?wait=1").status_code == 200


def test_a_better_place_in_the_queue_is_a_change(web, team, owner):
    first, second = new_task(team), new_task(team)
    with web.client(owner) as client:
        assert client.get(f"/task/status/{second.pk}").json()["queue_position"] == 2
        timer = cancel_in_a_moment(web, owner, first)
        answer = client.get(f"/task/status/{second.pk}?wait=20")
        timer.join()
        assert (answer.json()["queue_position"], answer.json()["seq"]) == (1, 1)


@pytest.mark.alone
def test_forty_waiters_cost_no_database_connection_and_hold_up_nobody(web, team, owner):
    task = new_task(team)
    process = psutil.Process(web.process.pid)
    answers: list[str] = []

    def wait() -> None:
        with web.client(owner) as client:
            answers.append(client.get(f"/task/status/{task.pk}?wait=25").json()["status"])

    waiters = [threading.Thread(target=wait) for _ in range(40)]
    for waiter in waiters:
        waiter.start()
    with web.client(owner) as client:
        eventually(lambda: _sockets(process) >= 40)
        if connection.vendor != "sqlite":  # which closes a file late, when others have it open
            eventually(lambda: _connections_to_database(process) <= 5)
        begun = time.monotonic()
        assert client.get(f"/task/status/{task.pk}").status_code == 200
        assert time.monotonic() - begun < 2
    transitions.cancel(task, by=None)
    for waiter in waiters:
        waiter.join(60)
    assert answers == ["cancelled"] * 40


def eventually(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _sockets(process: psutil.Process) -> int:
    return sum(c.status == "ESTABLISHED" for c in process.net_connections("tcp"))


def _connections_to_database(process: psutil.Process) -> int:
    port = int(connection.settings_dict["PORT"])
    return sum(bool(c.raddr) and c.raddr.port == port for c in process.net_connections("tcp"))


def test_a_session_cookie_does_as_well(web, team, owner):
    client = Client()
    client.force_login(owner)
    task = new_task(team)
    with web.client() as browser:
        browser.cookies.set("sessionid", client.cookies["sessionid"].value)
        assert browser.get(f"/task/status/{task.pk}").status_code == 200
        # But it moves nothing without the token against forged forms.
        assert browser.post(f"/task/cancel/{task.pk}").status_code == 403
