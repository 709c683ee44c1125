"""One of everything that the team of the fixtures owns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone

from backups.models import (
    Backup,
    Channel,
    Database,
    Destination,
    Plan,
    Proof,
    Restore,
    Schedule,
)
from backups.rpc import client
from backups.tests.clockwork import EVE
from tasks.models import Task
from tasks.states import Status

PASSWORD = "s3cret pass/word@%"
SECRET = "top-secret-key-of-the-bucket"
WEBHOOK = "https://hooks.slack.com/services/T000/B000/top-secret-part-of-the-webhook"


@pytest.fixture
def database(team) -> Database:
    """At a port where nobody answers."""
    return Database.objects.create(
        team=team,
        name="shop",
        host="127.0.0.1",
        port=1,
        dbname="shop",
        username="keeper",
        password=PASSWORD,
    )


@pytest.fixture
def destination(team, tmp_path) -> Destination:
    folder = tmp_path / "kept"
    folder.mkdir()
    return Destination.objects.create(
        team=team, name="disk", kind="local", options={"folder": str(folder)}
    )


@pytest.fixture
def bucket(team) -> Destination:
    """At a port where nobody answers."""
    options = {
        "bucket": "backups",
        "endpoint": "http://127.0.0.1:1",
        "region": "eu-central-1",
        "access_key": "AKIA",
    }
    return Destination.objects.create(
        team=team, name="bucket", kind="s3", options=options, secret=SECRET
    )


@pytest.fixture
def plan(team, database, destination) -> Plan:
    return Plan.objects.create(
        team=team, name="nightly", database=database, destination=destination
    )


@pytest.fixture
def schedule(team, plan) -> Schedule:
    return Schedule.objects.create(
        team=team, name="each-night", plan=plan, cron="0 2 * * *", time_zone="Europe/Berlin"
    )


@pytest.fixture
def channel(team) -> Channel:
    """Never written to: no test has workers beside it."""
    return Channel.objects.create(team=team, name="ops", address=WEBHOOK)


def ended(team, job: str, status: Status = Status.SUCCEEDED) -> Task:
    """A task that came to its end."""
    return Task.objects.create(team=team, job=job, status=status, finished_at=timezone.now())


@pytest.fixture
def backup(team, plan) -> Backup:
    """Complete, with its receipt."""
    return Backup.objects.create(
        team=team,
        plan=plan,
        database=plan.database,
        destination=plan.destination,
        task=ended(team, "backup"),
        completed_at=timezone.now(),
        duration_seconds=3.5,
        key="shop_2025-01-15T02-00-00Z.sql.gz",
        raw_bytes=12000,
        stored_bytes=4000,
        raw_sha256="a" * 64,
        stored_sha256="b" * 64,
        compression="gzip",
        server_version="15.10",
        tables={"public.orders": {"rows": 3, "bytes": 30, "digest": "c" * 64}},
        manifest={"format": 1},
    )


@pytest.fixture
def restore(team, backup, database) -> Restore:
    return Restore.objects.create(
        team=team, backup=backup, target=database, dbname="copy", task=ended(team, "restore")
    )


@pytest.fixture
def proof(team, backup) -> Proof:
    return Proof.objects.create(
        team=team,
        backup=backup,
        verdict=Proof.Verdict.PROVEN,
        task=ended(team, "drill"),
        completed_at=timezone.now(),
        duration_seconds=1.0,
        tables=[{"table": "public.orders", "rows": 3, "rows_restored": 3, "verdict": "same"}],
    )


@pytest.fixture
def new_schedule(team, plan) -> Callable[..., Schedule]:
    """new_schedule(cron=…): due next at `clockwork.NIGHT`, unless its timing is told."""

    def make(**more) -> Schedule:
        more = {"cron": "0 2 * * *", **({"cron": ""} if "every_seconds" in more else {}), **more}
        schedule = Schedule(team=team, plan=plan, created_at=EVE, seen_until=EVE, **more)
        schedule.save()
        return schedule

    return make


@pytest.fixture
def direct(monkeypatch) -> list[str]:
    """No gRPC: the keys of what the scheduler calls for, which is started as the server would."""
    called = []

    def run_backup(plan, *, idempotency_key, patience):
        called.append(idempotency_key)
        return plan.start(by=client.asker(plan.team), idempotency_key=idempotency_key).pk

    def verify_backup(backup, *, idempotency_key, patience):
        called.append(idempotency_key)
        return backup.prove(by=client.asker(backup.team), idempotency_key=idempotency_key).pk

    monkeypatch.setattr(client, "run_backup", run_backup)
    monkeypatch.setattr(client, "verify_backup", verify_backup)
    return called
