"""StreamProgress: a hundred at once, and who is cut off while it streams."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import pytest
from django.db.models import F

from accounts.models import Membership
from backups.models import Backup, Database
from backups.rpc import backup_pb2 as pb
from backups.rpc.tests.calls import Calls, Door, refused
from tasks.models import Task
from tasks.tests.crew import until

Code = grpc.StatusCode
pytestmark = pytest.mark.django_db(transaction=True)

STREAMS = 100
SOON = 5.0


class Listeners:
    """Streams, each read by a thread of the test's."""

    def __init__(self, calls: Calls, backups: list[Backup]) -> None:
        self.heard: list[list[pb.ProgressUpdate]] = [[] for _ in backups]
        self._threads = [
            threading.Thread(target=self._listen, args=[calls, mine, str(backup.pk)])
            for mine, backup in zip(self.heard, backups, strict=True)
        ]
        for thread in self._threads:
            thread.start()
        until(lambda: all(self.heard), what="every stream has begun")

    def _listen(self, calls: Calls, mine: list[pb.ProgressUpdate], pk: str) -> None:
        for update in calls.StreamProgress(backup_id=pk, timeout=60):
            mine.append(update)

    @property
    def last(self) -> list[pb.ProgressUpdate]:
        return [mine[-1] for mine in self.heard]

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def listening(calls: Calls, backups: list[Backup]) -> Iterator[Listeners]:
    listeners = Listeners(calls, backups)
    try:
        yield listeners
    finally:
        Task.objects.exclude(status="succeeded").update(status="cancelled", seq=F("seq") + 100)
        listeners.wait()


def threads_of(rpc: Door) -> int:
    status = Path(f"/proc/{rpc.crew.process.pid}/status").read_text()
    return int(status.split("Threads:")[1].split()[0])


def test_it_works(rpc, workers, shop, owner):
    """A hundred follow a real backup and are all told what was stored in the end."""
    Database.objects.update(queue="nobody")
    backup = shop.start(by=owner)
    with rpc.calls(owner) as calls, listening(calls, [backup] * STREAMS) as listeners:
        Task.objects.update(queue="default")
        listeners.wait()
        stored = calls.GetBackup(backup_id=str(backup.pk))
    assert {one.done for one in listeners.last} == {stored.raw_bytes}
    assert {(one.status, one.percent, one.ended) for one in listeners.last} == {
        ("succeeded", 100.0, True)
    }
    for mine in listeners.heard:
        running = [one.done for one in mine if one.status == "running"]
        assert running == sorted(running)


def test_a_hundred_streams_hear_every_figure_of_their_own_and_cost_no_thread(rpc, waiting, owner):
    """Beside them a call is answered at once."""
    rounds, share = 5, 4
    backups = [waiting.start(by=owner) for _ in range(share)]
    followed = [backups[place % share] for place in range(STREAMS)]
    before = threads_of(rpc)
    took = []
    with rpc.calls(owner) as calls, listening(calls, followed) as listeners:
        for step in range(1, rounds + 1):
            for number, backup in enumerate(backups, 1):
                Task.objects.filter(pk=backup.task_id).update(
                    status="running",
                    seq=F("seq") + 1,
                    progress_done=step * number * 1000,
                    progress_total=rounds * number * 2000,
                    progress_rate=float(number),
                )
            began = time.monotonic()
            calls.ListDatabases()
            took.append(time.monotonic() - began)
            until(
                lambda step=step: all(one.percent == step * 10 for one in listeners.last),
                what=f"step {step} is heard",
            )
        threads = threads_of(rpc)
        Task.objects.update(status="succeeded", seq=F("seq") + 1)
        listeners.wait()
    assert median(took) < 1.0
    assert threads - before < 10
    for place, mine in enumerate(listeners.heard):
        number = place % share + 1
        figures = [(one.done, one.rate, one.backup_id) for one in mine if one.status == "running"]
        mine_alone = str(followed[place].pk)
        assert figures == [(s * number * 1000, number, mine_alone) for s in range(1, rounds + 1)]
        assert mine[-1].ended


def test_a_stream_ends_when_its_token_does(rpc, waiting, viewer):
    backup = waiting.start(by=viewer)
    with rpc.calls(viewer, lifetime=timedelta(seconds=3)) as calls:
        stream = calls.StreamProgress(backup_id=str(backup.pk))
        assert next(stream).status == "queued"
        began = time.monotonic()
        with refused(Code.UNAUTHENTICATED, "Log in again."):
            next(stream)
    assert time.monotonic() - began < SOON


def disable(user: Any) -> None:
    user.is_active = False
    user.save()


def change_password(user: Any) -> None:
    user.set_password("another one, as long as it takes")
    user.save()


def leave(user: Any) -> None:
    Membership.objects.filter(user=user).delete()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (disable, Code.UNAUTHENTICATED, "Log in again."),
        (change_password, Code.UNAUTHENTICATED, "Log in again."),
        (leave, Code.NOT_FOUND, "There is no backup"),
    ],
)
def test_who_may_no_longer_see_it_is_cut_off(
    rpc, waiting, viewer, mate, change: Callable[[Any], None], code, words
):
    backup = waiting.start(by=mate)
    with rpc.calls(viewer) as calls, rpc.calls(mate) as others:
        stream = calls.StreamProgress(backup_id=str(backup.pk))
        staying = others.StreamProgress(backup_id=str(backup.pk))
        assert next(stream).status == next(staying).status == "queued"
        began = time.monotonic()
        change(viewer)
        with refused(code, words):
            next(stream)
        assert time.monotonic() - began < SOON
        Task.objects.update(status="cancelled", seq=F("seq") + 1)
        assert next(staying).status == "cancelled"


def test_a_call_that_waits_for_its_own_backup_outlives_its_token(rpc, waiting, mate):
    """RunBackup is let in once; what it answers is what its caller asked for."""
    with rpc.calls(mate, lifetime=timedelta(seconds=3)) as calls:
        call = calls.waiting(database="shop")
        backup = until(Backup.objects.first, what="it is accepted")
        time.sleep(3.5)
        assert not call.done()
        Task.objects.update(status="cancelled", seq=backup.task.seq + 1)
        with refused(Code.CANCELLED, "cancelled"):
            call.result()
