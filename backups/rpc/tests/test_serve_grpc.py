"""How the daemon serves: the original's clients, grpcurl, TLS, refusals at start, stopping."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc

from backdrop_site import grpc_address
from backups.models import Backup
from backups.rpc import backup_pb2 as pb
from backups.rpc import client, place
from backups.rpc.backup_pb2_grpc import BackupServiceStub
from backups.rpc.tests.calls import LISTENS, SECONDS, door, inside_of, refused
from backups.rpc.tests.certificates import self_signed
from tasks.tests.crew import Crew, daemon, until
from tests.web import token_of

Code = grpc.StatusCode
GRPCURL = Path(sys.executable).with_name("grpcurl")
pytestmark = pytest.mark.django_db(transaction=True)


def original() -> dict[str, type]:
    """The messages that clients of the original know: three, with one field each."""
    file = descriptor_pb2.FileDescriptorProto(name="original.proto", package="backup")
    file.syntax = "proto3"
    for name, field in (
        ("BackupRequest", "database"),
        ("BackupResponse", "status"),
        ("ProgressUpdate", "message"),
    ):
        file.message_type.add(name=name).field.add(name=field, number=1, type=9, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"backup.{name}"))
        for name in ("BackupRequest", "BackupResponse", "ProgressUpdate")
    }


def test_it_works(workers, shop, tmp_path):
    """A client of the original, which sends no token, gets what it got."""
    known = original()
    with door(tmp_path, GRPC_REQUIRE_AUTH="false") as opened, opened.channel() as channel:
        run = channel.unary_unary(
            "/backup.BackupService/RunBackup",
            request_serializer=known["BackupRequest"].SerializeToString,
            response_deserializer=known["BackupResponse"].FromString,
        )
        assert (
            run(known["BackupRequest"](database="shop"), timeout=SECONDS).status
            == "backup completed"
        )
        stream = channel.unary_stream(
            "/backup.BackupService/StreamProgress",
            request_serializer=known["BackupRequest"].SerializeToString,
            response_deserializer=known["ProgressUpdate"].FromString,
        )
        heard = [
            one.message for one in stream(known["BackupRequest"](database="shop"), timeout=SECONDS)
        ]
        assert heard == ["backup completed"]


def grpcurl(opened, *arguments: str, token=None) -> str:
    header = ["-H", f"authorization: Bearer {token}"] if token else []
    asked = [*arguments[:-1], opened.address, arguments[-1]]
    done = subprocess.run(
        [sys.executable, str(GRPCURL), "-plaintext", *header, *asked],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_health_is_told_to_anybody(rpc):
    with rpc.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "backup.BackupService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_tls_is_served_by_two_settings(owner, plan, tmp_path):
    pair = self_signed(tmp_path)
    with door(tmp_path, **pair.settings) as opened:
        with opened.calls(owner) as plain, refused(Code.UNAVAILABLE):
            plain.ListDatabases(timeout=SECONDS)
        trusted = grpc.ssl_channel_credentials(pair.certificate.read_bytes())
        with grpc.secure_channel(f"localhost:{opened.port}", trusted) as channel:
            metadata = (("authorization", f"Bearer {token_of(owner)}"),)
            answer = BackupServiceStub(channel).ListDatabases(
                pb.ListDatabasesRequest(), metadata=metadata, timeout=SECONDS
            )
    assert [one.name for one in answer.databases] == ["shop"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"HOST": "0.0.0.0"}, "needs TLS"),
        ({"HOST": "0.0.0.0", "GRPC_INSECURE": "true", "GRPC_REQUIRE_AUTH": "false"}, "anybody"),
        ({"GRPC_TLS_CERT": "/nowhere.pem"}, "go together"),
        ({"GRPC_TLS_CERT": "/no.pem", "GRPC_TLS_KEY": "/no.key"}, "can't be read"),
    ],
)
def test_what_would_be_unsafe_is_refused_at_start(db, tmp_path, given, words):
    crew = Crew(tmp_path, ["rundaemon"], {"GRPC_PORT": "0", **given})
    try:
        assert crew.wait() == 1
    finally:
        crew.end()
    assert words in crew.log.read_text()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_no_tls(settings, host):
    settings.HOST = host
    settings.GRPC_REQUIRE_AUTH = False
    assert grpc_address.check_settings() == []


def test_off_loopback_insecure_has_to_be_said(settings):
    settings.HOST = "10.0.0.1"
    assert "needs TLS" in str(grpc_address.check_settings())
    settings.GRPC_INSECURE = True
    assert grpc_address.check_settings() == []


@pytest.mark.alone
def test_a_stop_tells_those_who_wait_and_takes_a_moment(waiting, owner, tmp_path):
    with door(tmp_path) as opened, opened.calls(owner) as calls:
        call = calls.waiting(database="shop")
        backup = until(Backup.objects.first, what="it is accepted")
        stream = calls.StreamProgress(backup_id=str(backup.pk))
        next(stream)
        began = time.monotonic()
        opened.crew.terminate()
        with refused(Code.UNAVAILABLE, "goes on"):
            call.result()
        with refused(Code.UNAVAILABLE, "goes on"):
            list(stream)
        assert opened.crew.wait(10) == 0
        assert time.monotonic() - began < 6


def test_a_second_daemon_leaves_the_port_to_the_first_and_takes_it_over(
    waiting, owner, tmp_path, monkeypatch
):
    """It does everything else, calls itself too, and says so once."""
    with door(tmp_path) as first, daemon(tmp_path, GRPC_PORT=str(first.port)) as second:
        until(lambda: "is it taken?" in second.log.read_text(), what="it says so")
        with first.calls(owner) as calls:
            calls.ListDatabases()
        monkeypatch.setattr(place, "target", lambda: inside_of(second))
        assert client.run_backup(waiting, idempotency_key="k") == Backup.objects.get().pk
        first.crew.terminate()
        assert first.crew.wait() == 0
        until(lambda: LISTENS.search(second.log.read_text()), what="the port is taken over")
        with first.calls(owner) as calls:
            assert calls.ListBackups().backups
        assert second.log.read_text().count("is it taken?") == 1


def test_grpcurl_lists_services_and_runs_a_backup(rpc, workers, shop, owner):
    token = token_of(owner)
    listed = grpcurl(rpc, "list", token=token)
    assert "backup.BackupService" in listed.split()
    assert "grpc.health.v1.Health" in listed.split()
    told = grpcurl(rpc, "-d", '{"database": "shop"}', "backup.BackupService/RunBackup", token=token)
    assert json.loads(told)["status"] == "backup completed"
