"""Who may call what: the matrix, tokens, and the original's clients that send none."""

from __future__ import annotations

import socket
from datetime import timedelta

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from accounts.models import FailedLogin, User
from backups.models import Backup, Destination, Plan
from backups.rpc import backup_pb2 as pb
from backups.rpc.tests.calls import REQUESTS, SECONDS, Calls, Door, door, health_of, refused
from tasks.models import Task
from tests.web import token_of

Code = grpc.StatusCode
pytestmark = pytest.mark.django_db(transaction=True)

OPEN = {"Login", "Refresh", "Logout"}


def test_it_works(rpc, plan, mate):
    with rpc.calls(mate) as calls:
        calls.RunBackup(database="shop", detach=True)
    assert Task.objects.get().owner == mate


def fields(method: str, backup: Backup) -> dict:
    """A request that makes sense for that method."""
    given = {"RunBackup": {"database": "shop", "detach": True}}
    known = REQUESTS[method].DESCRIPTOR.fields_by_name
    return given.get(method) or ({"backup_id": str(backup.pk)} if "backup_id" in known else {})


@pytest.mark.parametrize("method", sorted(REQUESTS.keys() - OPEN))
def test_every_method_wants_a_token(rpc, backup, method):
    with rpc.calls() as calls, refused(Code.UNAUTHENTICATED, "Log in first"):
        answer = getattr(calls, method)(**fields(method, backup))
        list(answer) if method == "StreamProgress" else answer


def reflected(opened: Door, token: object = None) -> list[str]:
    """The services that reflection tells."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    with opened.channel() as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        [answer] = stub.ServerReflectionInfo(iter([asked]), metadata=metadata, timeout=SECONDS)
    return [service.name for service in answer.list_services_response.service]


def test_reflection_wants_a_token_and_health_none(rpc, owner):
    with refused(Code.UNAUTHENTICATED, "Log in first"):
        reflected(rpc)
    assert "backup.BackupService" in reflected(rpc, token_of(owner))
    assert health_of(rpc) == "SERVING"


@pytest.mark.parametrize("method", ["RunBackup", "CancelBackup", "RestoreBackup", "VerifyBackup"])
def test_a_viewer_may_see_and_not_run(rpc, backup, viewer, method):
    with rpc.calls(viewer) as calls:
        asked = {**fields(method, backup), **({"into": "x"} if method == "RestoreBackup" else {})}
        with refused(Code.PERMISSION_DENIED, "operator"):
            getattr(calls, method)(**asked)
        assert calls.GetBackup(backup_id=str(backup.pk)).key == backup.key
    assert Task.objects.count() == 1


def test_a_stranger_sees_nothing(rpc, backup, stranger):
    with rpc.calls(stranger) as calls:
        assert not calls.ListBackups().backups
        assert not calls.ListDatabases().databases
        with refused(Code.NOT_FOUND):
            calls.GetBackup(backup_id=str(backup.pk))
        with refused(Code.NOT_FOUND):
            calls.RunBackup(database="shop")
        with refused(Code.NOT_FOUND):
            list(calls.StreamProgress(backup_id=str(backup.pk)))
        with refused(Code.NOT_FOUND):
            calls.CancelBackup(backup_id=str(backup.pk))


def test_a_bad_token_is_refused(rpc, owner, plan):
    for token in ("nonsense", token_of(owner, lifetime=-timedelta(seconds=1)), ""):
        with rpc.calls() as calls, refused(Code.UNAUTHENTICATED):
            calls.metadata = (("authorization", f"Bearer {token}"),)
            calls.ListDatabases()
    owner.is_active = False
    owner.save()
    with rpc.calls(owner) as calls, refused(Code.UNAUTHENTICATED):
        calls.ListDatabases()


def test_a_login_gives_tokens_that_work_and_a_refresh_works_once(rpc, owner, password, plan):
    with rpc.calls() as calls:
        pair = calls.Login(username="owner@example.org", password=password)
        calls.metadata = (("authorization", f"Bearer {pair.access}"),)
        assert [one.name for one in calls.ListDatabases().databases] == ["shop"]
        fresh = calls.Refresh(refresh=pair.refresh)
        with refused(Code.UNAUTHENTICATED):
            calls.Refresh(refresh=pair.refresh)
        calls.Logout(refresh=fresh.refresh)
        with refused(Code.UNAUTHENTICATED):
            calls.Refresh(refresh=fresh.refresh)


def test_guesses_are_counted(rpc, owner):
    with rpc.calls() as calls:
        for _ in range(5):
            with refused(Code.UNAUTHENTICATED, "Wrong name or password"):
                calls.Login(username="owner", password="guess")
        with refused(Code.RESOURCE_EXHAUSTED, "Too many"):
            calls.Login(username="owner", password="guess")
    assert FailedLogin.objects.count() >= 5


def test_slow_calls_under_way_hold_up_no_other(db, backup, bucket, owner, tmp_path):
    """Logins hash passwords, and the status waits for storage that does not answer."""
    forever = f"pbkdf2_sha256${10**9}$salt$hash"
    User.objects.filter(pk=owner.pk).update(password=forever)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        door(tmp_path) as opened,
        opened.channel() as channel,
    ):
        Destination.objects.filter(pk=bucket.pk).update(
            options={**bucket.options, "endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        )
        Plan.objects.update(destination=bucket)
        calls = Calls(channel, token_of(User.objects.get(pk=owner.pk)))
        login = pb.LoginRequest(username="owner", password="guess")
        slow = [calls.stub.Login.future(login, timeout=300) for _ in range(6)]
        told = {"metadata": calls.metadata, "timeout": 300}
        slow += [calls.stub.GetStatus.future(pb.StatusRequest(), **told) for _ in range(6)]
        for _ in range(3):
            assert calls.ListDatabases().databases
        assert not any(call.done() for call in slow[:6])


def test_without_auth_a_backup_is_open_and_nothing_else(db, plan, backup, tmp_path, owner):
    with door(tmp_path, GRPC_REQUIRE_AUTH="false") as opened, opened.calls() as calls:
        begun = calls.RunBackup(database="shop", detach=True)
        assert next(iter(calls.StreamProgress(backup_id=begun.backup_id))).status == "queued"
        for method in sorted(REQUESTS.keys() - OPEN - {"RunBackup", "StreamProgress"}):
            with refused(Code.UNAUTHENTICATED):
                getattr(calls, method)(**fields(method, backup))
        with refused(Code.UNAUTHENTICATED, "Log in first"):
            reflected(opened)
        assert "backup.BackupService" in reflected(opened, token_of(owner))
        assert health_of(opened) == "SERVING"
        calls.metadata = (("authorization", "Bearer nonsense"),)
        with refused(Code.UNAUTHENTICATED):
            calls.RunBackup(database="shop", detach=True)
    assert Task.objects.filter(job="backup", owner=None, status="queued").count() == 1
