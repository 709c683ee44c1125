"""How the scheduler calls: from inside the daemon, by key, as a user of its own."""

from __future__ import annotations

import pytest
from rest_framework_simplejwt.tokens import AccessToken

from accounts import machines, tokens
from backups.models import Backup, RefusedError
from backups.rpc import client, place
from backups.rpc.tests.calls import inside_of
from tasks import queue
from tasks.errors import IdempotencyConflictError

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def target(rpc, monkeypatch) -> str:
    found = inside_of(rpc.crew)
    monkeypatch.setattr(place, "target", lambda: found)
    return found


def test_it_works(target, waiting):
    first = client.run_backup(waiting, idempotency_key="schedule-1")
    assert client.run_backup(waiting, idempotency_key="schedule-1") == first
    backup = Backup.objects.get()
    assert backup.pk == first
    assert backup.task.owner.username == "system:scheduler"
    direct = waiting.start(by=client.asker(waiting.team), idempotency_key="schedule-1")
    assert direct.pk == first, "started directly, after a call whose end nobody knows"


def test_each_call_carries_a_token_of_one_minute_of_the_scheduler(target, waiting, monkeypatch):
    sent = []
    call = client._call

    def listening(target, method, request, metadata, timeout):
        sent.append(dict(metadata)["authorization"])
        return call(target, method, request, metadata, timeout)

    monkeypatch.setattr(client, "_call", listening)
    client.run_backup(waiting, idempotency_key="schedule-1")
    [authorization] = sent
    kind, _, raw = authorization.partition(" ")
    token = AccessToken(raw)
    assert kind == "Bearer"
    assert token["exp"] - token["iat"] == 60
    assert tokens.user_of(raw) == machines.scheduler(waiting.team)
    assert not tokens.user_of(raw).has_usable_password()


def test_a_proof_is_asked_for_by_key_too(target, backup):
    first = client.verify_backup(backup, idempotency_key="schedule-1")
    assert client.verify_backup(backup, idempotency_key="schedule-1") == first
    asker = client.asker(backup.team)
    assert backup.prove(by=asker, idempotency_key="schedule-1").pk == first
    with pytest.raises(IdempotencyConflictError, match="another request"):
        client.run_backup(backup.plan, idempotency_key="schedule-1")


def test_what_the_server_refuses_is_told(target, plan, backup):
    plan.enabled = False
    plan.save()
    with pytest.raises(RefusedError, match="switched off"):
        client.run_backup(plan, idempotency_key="schedule-2")
    Backup.objects.update(completed_at=None)
    with pytest.raises(RefusedError, match="not complete"):
        client.verify_backup(backup, idempotency_key="schedule-3")


def test_a_scheduler_whom_nobody_answers_says_so(plan, monkeypatch):
    for nobody in ("", "127.0.0.1:1", "unix-abstract:backdrop-grpc-nobody"):
        monkeypatch.setattr(place, "target", lambda nobody=nobody: nobody)
        with pytest.raises(client.UnreachableError):
            client.run_backup(plan, idempotency_key="k", patience=1.0)
    assert queue.due(["default"]).count() == 0
