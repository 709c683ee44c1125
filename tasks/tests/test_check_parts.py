"""What must be there for work to be done, and `/statusz`."""

from __future__ import annotations

import threading
import time

import pytest

from tasks import checks, clock
from tasks.checks import Finding, MissingError, Part
from tasks.models import Worker
from tasks.tests.work import new_task


def finding_of(check, *, within: float = 2.0) -> Finding:
    part = Part("it", check, fresh_for=1.0)
    part.begin()
    return part.finding(within=within)


def test_it_works():
    assert finding_of(lambda: "Fine.") == Finding(ok=True, detail="Fine.")


def test_what_is_missing_is_told_in_its_own_words():
    def check() -> str:
        raise MissingError("Nobody is there.", remedy="Call them.")

    found = finding_of(check)
    assert found == Finding(ok=False, detail="Nobody is there.", remedy="Call them.")
    assert found.told == "Nobody is there. Call them."


def test_the_words_of_other_errors_stay_in_here():
    def check() -> str:
        raise OSError("user:password@host refused")

    found = finding_of(check)
    assert found == Finding(ok=False, detail="It could not be asked.", remedy=checks.LOOK)


@pytest.mark.alone
def test_a_part_that_hangs_costs_one_thread_and_no_patience():
    hangs = threading.Event()
    part = Part("slow", lambda: str(hangs.wait(10)), fresh_for=1.0)
    before = threading.active_count()
    begun = time.monotonic()
    for _ in range(5):
        part.begin()
        assert part.finding(within=0.05).remedy == checks.LOOK
    assert threading.active_count() == before + 1
    assert time.monotonic() - begun < 2
    hangs.set()
    assert part.finding(within=2).ok


def test_an_answer_is_kept_for_a_while():
    asked = []
    part = Part("it", lambda: str(asked.append(1)), fresh_for=60)
    for _ in range(3):
        part.begin()
        part.finding(within=2)
    assert len(asked) == 1


def worker(name: str, kind: Worker.Kind = Worker.Kind.WORKER, **more) -> None:
    more.setdefault("heartbeat_at", clock.now())
    Worker.objects.create(name=name, host="h", pid=1, kind=kind, capacity=3, **more)


@pytest.mark.django_db
def test_every_queue_with_waiting_work_needs_a_worker(team):
    with pytest.raises(MissingError, match="default"):
        checks.workers()
    worker("one", queues=["default"])
    assert checks.workers() == "1 running, 3 attempts at once."
    new_task(team, queue="far away")
    with pytest.raises(MissingError, match="far away"):
        checks.workers()


@pytest.mark.django_db
def test_a_worker_whose_heart_has_stopped_counts_no_more():
    worker("gone", queues=["default"], heartbeat_at=clock.now(-60))
    with pytest.raises(MissingError):
        checks.workers()


@pytest.mark.django_db(transaction=True)
def test_the_status_is_503_until_nothing_is_missing(web, owner):
    with web.client() as anybody, web.client(owner) as client:
        answer = eventually(anybody, 503)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "Missing: workers, daemon."
        assert answer.json()["workers"] == {"ok": False}  # no details for strangers
        assert "runworkers" in client.get("/statusz").json()["workers"]["detail"]
        worker("one", queues=["default"])
        worker("two", Worker.Kind.DAEMON)
        answer = eventually(anybody, 200)
        assert answer.json() == {
            name: {"ok": True} for name in ("web", "database", "workers", "daemon", "storage")
        }


def eventually(client, status: int):
    """The answer, once its status is that; findings are kept for some seconds."""
    deadline = time.monotonic() + 60
    while (answer := client.get("/statusz")).status_code != status:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    return answer
