"""What callers are told while Backdrop's own database is away. A file never is: with SQLite there
is nothing to test, so this counts on PostgreSQL (see tests/run_on_postgres.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import pytest
from django.db import connection

from backups.models import Backup
from backups.rpc.tests.calls import SECONDS, Door, door, health_of, refused
from backups.rpc.tests.gate import Gate
from tasks import transitions
from tasks.tests.crew import database_url, until

Code = grpc.StatusCode
AWAY = "own database does not answer"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gate() -> Iterator[Gate]:
    if connection.vendor == "sqlite":
        pytest.skip("A file is never away.")
    known = connection.settings_dict
    with Gate(known["HOST"], int(known["PORT"] or 5432)) as opened:
        yield opened


@pytest.fixture
def far(gate, tmp_path) -> Iterator[Door]:
    """A daemon that reaches its database through the gate."""
    known = connection.settings_dict
    url = database_url()
    behind = url.replace(f":{known['PORT'] or 5432}/", f":{gate.port}/")
    assert behind != url
    with door(tmp_path, DB_URL=behind) as opened:
        yield opened


def test_it_works(far, gate, waiting, owner, password):
    """Every call is UNAVAILABLE with a sentence, and answered again as soon as it is back."""
    with far.calls(owner) as calls:
        assert calls.ListDatabases().databases
        gate.shut()
        for method, asked in (
            ("ListDatabases", {}),
            ("RunBackup", {"database": "shop", "detach": True}),
            ("Login", {"username": "owner", "password": password}),
        ):
            with refused(Code.UNAVAILABLE, AWAY):
                getattr(calls, method)(**asked)
        with refused(Code.UNAVAILABLE, AWAY):
            list(calls.StreamProgress(database="shop"))
        gate.open()
        assert calls.RunBackup(database="shop", detach=True).status == "backup accepted"


def test_health_says_so(far, gate, db):
    names = ("", "backup.BackupService")
    assert {health_of(far, name) for name in names} == {"SERVING"}
    gate.shut()
    until(lambda: {health_of(far, name) for name in names} == {"NOT_SERVING"}, what="it is told")
    gate.open()
    until(lambda: {health_of(far, name) for name in names} == {"SERVING"}, what="it is back")
    gate.hang()
    until(lambda: health_of(far) == "NOT_SERVING", what="one that hangs is away too")
    gate.open()
    until(lambda: health_of(far) == "SERVING", what="it is back")


def test_who_waits_and_who_follows_outlast_an_outage(far, gate, waiting, owner):
    with far.calls(owner) as calls:
        call = calls.waiting(database="shop")
        backup = until(Backup.objects.first, what="it is accepted")
        stream = calls.StreamProgress(backup_id=str(backup.pk), timeout=SECONDS)
        assert next(stream).status == "queued"
        gate.shut()
        time.sleep(3)
        assert not call.done()
        gate.open()
        assert transitions.cancel(backup.task, by=owner)
        assert next(stream).status == "cancelled"
        with refused(Code.CANCELLED, "It was cancelled"):
            call.result()
