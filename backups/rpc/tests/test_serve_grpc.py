"""How the daemon serves: the original's clients, grpcurl, TLS, refusals at start, stopping."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc

from backdrop_site import grpc_address
from backups.models import Backup
from backups.rpc import backup_pb2 as pb
from backups.rpc import client, place
from backups.rpc.backup_pb2_grpc import BackupServiceStub
from backups.rpc.tests.calls import LISTENS, SECONDS, door, health_of, inside_of, refused
from backups.rpc.tests.certificates import self_signed
from backups.rpc.tests.locks import held_up, wait_for_dump
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


class Original:
    """A client of the original daemon, which sends no token."""

    def __init__(self, channel: grpc.Channel) -> None:
        known = original()
        self.asked = known["BackupRequest"](database="shop")
        self.run = channel.unary_unary(
            "/backup.BackupService/RunBackup",
            request_serializer=known["BackupRequest"].SerializeToString,
            response_deserializer=known["BackupResponse"].FromString,
        )
        self._stream = channel.unary_stream(
            "/backup.BackupService/StreamProgress",
            request_serializer=known["BackupRequest"].SerializeToString,
            response_deserializer=known["ProgressUpdate"].FromString,
        )

    def messages(self) -> Iterator[str]:
        """Of the newest run, as they come."""
        for update in self._stream(self.asked, timeout=SECONDS):
            yield update.message


def test_it_works(workers, shop, tmp_path):
    """A client of the original gets what it got."""
    with door(tmp_path, GRPC_REQUIRE_AUTH="false") as opened, opened.channel() as channel:
        client = Original(channel)
        assert client.run(client.asked, timeout=SECONDS).status == "backup completed"
        assert list(client.messages()) == ["backup completed"]


def test_a_client_of_the_original_sees_how_far_it_is_while_it_runs(
    workers, shop, shop_dbname, postgres15, tmp_path
):
    with door(tmp_path, GRPC_REQUIRE_AUTH="false") as opened, opened.channel() as channel:
        client = Original(channel)
        with held_up(postgres15, shop_dbname):
            call = client.run.future(client.asked, timeout=SECONDS)
            wait_for_dump(postgres15, shop_dbname)
            messages = client.messages()
            assert "Waiting for the first byte of the dump" in messages
            assert not call.done()
        *_, last = messages
        assert last == call.result().status == "backup completed"


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
    for service in ("", "backup.BackupService"):
        assert health_of(rpc, service) == "SERVING"
    with refused(Code.NOT_FOUND, "no service nothing"):
        health_of(rpc, "nothing")


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
    assert words in refusal_of(tmp_path, given)


def refusal_of(folder: Path, given: dict[str, str]) -> str:
    """The log of a daemon that ends because of what it was given."""
    crew = Crew(folder, ["rundaemon"], {"GRPC_PORT": "0", **given})
    try:
        assert crew.wait() == 1, crew.log.read_text()
    finally:
        crew.end()
    return crew.log.read_text()


def test_a_pair_that_does_not_match_is_refused_at_start_and_called_no_taken_port(db, tmp_path):
    pair, other = self_signed(tmp_path), self_signed(tmp_path, "other")
    told = refusal_of(tmp_path, {**pair.settings, "GRPC_TLS_KEY": str(other.key)})
    assert f"GRPC_TLS_KEY: {other.key} is not the key" in told
    assert "made together" in told
    assert "taken" not in told


def test_a_pair_that_only_grpc_can_not_use_is_refused_at_start_too(db, tmp_path):
    told = refusal_of(tmp_path, self_signed(tmp_path, curve=ec.SECP256K1).settings)
    assert "gRPC can't serve with the certificate" in told
    assert "(GRPC_TLS_CERT, GRPC_TLS_KEY): make another pair" in told
    assert "taken" not in told


def test_what_is_no_pair_is_told_by_its_variable_with_a_remedy(settings, tmp_path):
    pair = self_signed(tmp_path)
    junk = tmp_path / "junk.pem"
    junk.write_text("-----BEGIN NONSENSE-----\nAAAA\n-----END NONSENSE-----\n")
    locked = tmp_path / "locked.key"
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    rsa_key = tmp_path / "rsa.key"
    rsa_key.write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )

    def told(certificate: Path, key: Path) -> str:
        settings.GRPC_TLS_CERT, settings.GRPC_TLS_KEY = str(certificate), str(key)
        return " ".join(grpc_address.refusals())

    assert told(pair.certificate, pair.key) == ""
    assert (
        told(junk, pair.key) == f"GRPC_TLS_CERT: {junk} holds no certificate: set it to a PEM file."
    )
    assert told(pair.key, pair.certificate).startswith(f"GRPC_TLS_CERT: {pair.key} holds no")
    assert told(pair.certificate, junk).startswith(f"GRPC_TLS_KEY: {junk} holds no private key")
    assert "without a password" in told(pair.certificate, locked)
    assert "made together" in told(pair.certificate, rsa_key)


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
    with door(tmp_path) as opened, opened.calls(owner) as calls, opened.channel() as channel:
        call = calls.waiting(database="shop")
        backup = until(Backup.objects.first, what="it is accepted")
        stream = calls.StreamProgress(backup_id=str(backup.pk))
        next(stream)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        began = time.monotonic()
        opened.crew.terminate()
        with refused(Code.UNAVAILABLE, "goes on"):
            call.result()
        with refused(Code.UNAVAILABLE, "goes on"):
            list(stream)
        told = [answer.status for answer in watch]
        assert told == [health_pb2.HealthCheckResponse.NOT_SERVING]
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
