"""Callers that vanish without a word while their backup runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from backdrop_site.cli.tests.terminal import Shell
from backups.models import Backup
from backups.rpc.tests.calls import door
from backups.rpc.tests.locks import held_up, wait_for_dump
from backups.rpc.tests.open_calls import SETTINGS, calls_in, under_way
from tasks.states import Status
from tasks.tests.crew import Work, until
from tests.web import token_of

pytestmark = pytest.mark.django_db(transaction=True)

WAITS = """
import sys, grpc
from backups.rpc import backup_pb2 as pb
from backups.rpc.backup_pb2_grpc import BackupServiceStub
address, token = sys.stdin.read().split()
with grpc.insecure_channel(address) as channel:
    metadata = (("authorization", f"Bearer {token}"),)
    BackupServiceStub(channel).RunBackup(pb.BackupRequest(database="shop"), metadata=metadata)
"""


@contextmanager
def waiting_client(address: str, token: object) -> Iterator[subprocess.Popen]:
    """One that waits in RunBackup, in a process of its own."""
    process = subprocess.Popen([sys.executable, "-c", WAITS], cwd=settings.BASE_DIR, stdin=-1)
    try:
        assert process.stdin is not None
        process.stdin.write(f"{address} {token}".encode())
        process.stdin.close()
        yield process
    finally:
        process.kill()
        process.wait()


def settled(folder: Path) -> dict[str, int]:
    """What is under way once all services of the daemon have begun."""
    while True:
        before = under_way(folder)
        time.sleep(0.5)
        if before and before == under_way(folder):
            return before


@pytest.mark.parametrize("kind", ["client", "command"])
def test_a_backup_goes_on_when_its_caller_is_killed_and_no_call_is_left(
    workers, shop, shop_dbname, postgres15, owner, tmp_path, kind
):
    token = token_of(owner)
    with door(tmp_path, **SETTINGS) as opened:
        idle = settled(tmp_path)
        assert calls_in(idle) == 0
        caller = (
            waiting_client(opened.address, token)
            if kind == "client"
            else Shell(tmp_path, opened.address, token).running("backup", "shop")
        )
        with held_up(postgres15, shop_dbname), caller as process:
            wait_for_dump(postgres15, shop_dbname)
            until(lambda: calls_in(under_way(tmp_path)) == 1, what="its caller waits")
            process.send_signal(signal.SIGKILL)
            until(lambda: under_way(tmp_path) == idle, what="nothing of the call is left")
            work = Work(Backup.objects.get().task)
            assert work.row.status == Status.RUNNING
        assert work.ends().status == Status.SUCCEEDED
        assert Backup.objects.get().complete
        assert under_way(tmp_path) == idle
