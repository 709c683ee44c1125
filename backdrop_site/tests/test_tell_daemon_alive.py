"""manage.py alive daemon, which the health check of the daemon's container asks: of both ports."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from backups.rpc.tests.certificates import ELSEWHERE, Pair, authority, signed
from tasks.tests.crew import Crew, daemon, until
from tests.ports import free_port, free_ports

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[..., AbstractContextManager[Crew]]


@pytest.fixture
def start(settings, tmp_path) -> Start:
    """start(**environment): a daemon whose ports the health command knows too."""

    @contextmanager
    def running(**environment: str) -> Iterator[Crew]:
        ports = dict(zip(("GRPC_PORT", "METRICS_PORT"), free_ports(2), strict=True))
        given = {**{name: str(port) for name, port in ports.items()}, **environment}
        settings.GRPC_PORT, settings.METRICS_PORT = int(given["GRPC_PORT"]), ports["METRICS_PORT"]
        settings.GRPC_TLS_CERT = given.get("GRPC_TLS_CERT", "")
        with daemon(tmp_path, **given) as one:
            until(lambda: "Metrics on" in one.log.read_text(), what="metrics are told")
            yield one

    return running


def refusal() -> str:
    with pytest.raises(CommandError) as refused:
        call_command("alive", "daemon")
    return str(refused.value)


def test_it_works(start, capsys):
    assert refusal().startswith("No daemon is alive on ")
    with start() as one:
        until(lambda: "gRPC on" in one.log.read_text(), what="gRPC listens")
        call_command("alive", "daemon")
        assert capsys.readouterr().out == "The daemon is alive.\n"


def test_a_daemon_without_its_grpc_port_is_not_well(start):
    """Its heart beats and its metrics are told, but another program has the port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with start(GRPC_PORT=str(port)) as one:
            until(lambda: "is it taken?" in one.log.read_text(), what="it says so")
            assert refusal().startswith(f"gRPC does not answer at 127.0.0.1:{port}. ")


def test_a_daemon_without_its_metrics_is_not_well(start, settings):
    with start() as one:
        until(lambda: "gRPC on" in one.log.read_text(), what="gRPC listens")
        settings.METRICS_PORT = free_port()
        assert refusal().startswith(f"Metrics are not told on port {settings.METRICS_PORT} of")


@pytest.mark.parametrize("ended", [False, True])
def test_with_tls_it_is_asked_for_its_own_certificate_whatever_that_names(start, tmp_path, ended):
    pair = made(tmp_path, ended=ended)
    with start(**pair.settings) as one:
        until(lambda: "gRPC on" in one.log.read_text(), what="gRPC listens")
        if ended:
            assert "Its certificate has expired." in refusal()
        else:
            call_command("alive", "daemon")


def made(folder: Path, *, ended: bool) -> Pair:
    return signed(folder, authority(folder, "ours"), ELSEWHERE, ended=ended)
