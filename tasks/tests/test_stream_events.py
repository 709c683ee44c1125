"""`/task/events/<id>` on a real web process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from django.test import Client

from accounts.models import Membership
from tasks import transitions
from tasks.states import Outcome
from tasks.tests.work import ended_task, new_task, running_task
from tests.web import PATIENCE, token_of

pytestmark = pytest.mark.django_db(transaction=True)


class Stream:
    """The events of one answer, as a browser would take them apart."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.comments: list[str] = []
        self._lines = answer.iter_lines()

    def next(self) -> dict:
        """The next event: its fields, with `data` as JSON. StopIteration at the end."""
        fields: dict = {}
        while True:
            line = next(self._lines)
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments.append(line)
            elif not line and "data" in fields:
                return {**fields, "data": json.loads(fields["data"])}
            elif line:
                fields[name] = value

    def next_comment(self) -> None:
        while not next(self._lines).startswith(":"):
            pass

    def until(self, kind: str) -> list[dict]:
        """All up to the first of that kind."""
        heard = [self.next()]
        while heard[-1]["event"] != kind:
            heard.append(self.next())
        return heard

    def is_over(self) -> bool:
        try:
            self.next()
        except StopIteration:
            return True
        return False


@contextmanager
def streaming(web, task, user=None, query: str = "", **headers) -> Iterator[Stream]:
    with (
        web.client(user) as client,
        client.stream(
            "GET", f"/task/events/{task.pk}{query}", headers=headers, timeout=PATIENCE
        ) as answer,
    ):
        yield Stream(answer)


def seqs_of(heard: list[dict]) -> list[int]:
    """The numbers of all history lines told, in the order they came."""
    told = [each["data"] for each in heard]
    return [e["seq"] for m in told for e in m.get("events", [m.get("event")]) if e]


def test_it_works(web, team, owner):
    run = running_task(team)
    with streaming(web, run.task, owner) as stream:
        assert stream.answer.status_code == 200
        assert stream.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.answer.headers["cache-control"] == "no-store"
        assert stream.answer.headers["x-accel-buffering"] == "no"
        first = stream.next()
        assert first["event"] == "snapshot"
        assert first["data"]["task"]["status"] == "running"
        assert int(first["id"]) == first["data"]["seq"]
        for done in (30, 60):
            run.report(done, line=f"at {done}")
        run.end()
        heard = stream.until("end")
        assert heard[-1]["data"]["code"] == 1000
        assert heard[-2]["data"]["task"]["status"] == "succeeded"
        assert stream.is_over()
    numbers = [int(each["id"]) for each in heard if "id" in each]
    assert numbers == sorted(numbers)
    lines = [each["data"]["event"]["message"] for each in heard if each["event"] == "event"]
    assert lines[:2] == ["at 30", "at 60"]


@pytest.mark.parametrize("by", ["header", "query"])
def test_who_comes_back_misses_nothing(web, team, owner, by):
    run = running_task(team)
    with streaming(web, run.task, owner) as stream:
        first = stream.next()
    for n in range(5):
        run.report(n, line=f"line {n}")
    last = first["id"]
    again = {"headers": {"Last-Event-ID": last}} if by == "header" else {}
    query = "" if by == "header" else f"?after={last}"
    with streaming(web, run.task, owner, query, **again.get("headers", {})) as stream:
        run.end()
        heard = stream.until("end")
    seen = seqs_of([first, *heard])
    assert seen == list(run.task.events.order_by("seq").values_list("seq", flat=True))
    assert len(seen) == len(set(seen))


def test_where_a_stream_is_cut_at_every_event_nothing_is_lost_or_told_twice(web, team, owner):
    run = running_task(team)
    for n in range(6):
        run.report(n, line=f"line {n}")
    run.end()
    wanted = list(run.task.events.order_by("seq").values_list("seq", flat=True))
    known, seen, rounds = "0", [], 0
    while True:
        rounds += 1
        with streaming(web, run.task, owner, **{"Last-Event-ID": known}) as stream:
            if stream.answer.status_code == 204:
                break
            event = stream.next()
            known = event.get("id", known)
            seen += seqs_of([event])
        assert rounds < 30
    assert seen == wanted


def test_of_an_ended_task_the_end_is_told_and_then_204(web, team, owner):
    task = ended_task(team, Outcome.FAILED, error="It went wrong.")
    with streaming(web, task, owner) as stream:
        heard = stream.until("end")
    assert [each["event"] for each in heard] == ["snapshot", "end"]
    assert heard[0]["data"]["task"]["error"] == "It went wrong."
    with streaming(web, task, owner, **{"Last-Event-ID": heard[0]["id"]}) as stream:
        assert stream.answer.status_code == 204
        assert stream.answer.read() == b""


def test_silence_is_broken_by_comments(web, team, owner):
    task = new_task(team, owner)
    with streaming(web, task, owner) as stream:
        stream.next()
        stream.next_comment()
        transitions.cancel(task, by=owner)
        stream.until("end")


def test_what_is_not_yours_is_404(web, team, owner, viewer, stranger):
    task = new_task(team, owner)
    with streaming(web, task, viewer) as stream:
        assert stream.answer.status_code == 200
    with streaming(web, task, stranger) as stream:
        assert stream.answer.status_code == 404
        assert stream.answer.headers["content-type"] == "application/problem+json"
    with streaming(web, task) as stream:
        assert stream.answer.status_code == 401
    with streaming(web, task, Authorization="Bearer nonsense") as stream:
        assert stream.answer.status_code == 401


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 19])
def test_what_is_no_number_is_refused(web, team, owner, after):
    task = new_task(team, owner)
    with streaming(web, task, owner, f"?after={after}") as stream:
        assert stream.answer.status_code == 400


def test_the_session_of_a_browser_does_too(web, team, owner):
    browser = Client()
    browser.force_login(owner)
    cookie = f"sessionid={browser.cookies['sessionid'].value}"
    task = new_task(team, owner)
    with streaming(web, task, Cookie=cookie) as stream:
        assert stream.next()["event"] == "snapshot"
        browser.logout()
        assert stream.until("end")[-1]["data"]["code"] == 4401


def test_it_ends_when_the_token_does(web, team, owner):
    task = new_task(team, owner)
    token = token_of(owner, lifetime=timedelta(seconds=5))
    with streaming(web, task, Authorization=f"Bearer {token}") as stream:
        assert stream.next()["event"] == "snapshot"
        assert stream.until("end")[-1]["data"]["code"] == 4401
        assert stream.is_over()


def test_who_leaves_the_team_is_cut_off(web, team, owner, mate):
    task = new_task(team, owner)
    with streaming(web, task, mate) as stream:
        stream.next()
        Membership.objects.filter(user=mate).delete()
        assert stream.until("end")[-1]["data"]["code"] == 4404


def test_200_streams_take_no_threads(web, team, owner):
    """Each is told the end, and none takes more than its place in the poller."""
    run = running_task(team)
    with web.client(owner) as client:
        client.get("/healthz")
    before = _threads(web)
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {token_of(owner)}"}
    with httpx.Client(base_url=web.url, headers=headers, timeout=PATIENCE, limits=limits) as client:
        answers = [
            client.send(client.build_request("GET", f"/task/events/{run.task.pk}"), stream=True)
            for _ in range(200)
        ]
        streams = [Stream(answer) for answer in answers]
        assert all(stream.next()["event"] == "snapshot" for stream in streams)
        during = _threads(web)
        run.end()
        assert all(stream.until("end")[-1]["data"]["code"] == 1000 for stream in streams)
        for answer in answers:
            answer.close()
    assert during - before < 10


def _threads(web) -> int:
    return len(list(Path(f"/proc/{web.process.pid}/task").iterdir()))
