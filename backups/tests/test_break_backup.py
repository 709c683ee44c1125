"""A backup while everything around it is killed, stopped, full or wrong."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backups.models import Backup, Destination
from backups.tests.yard import (
    NOTE_BYTES,
    REAL,
    SHOP,
    Yard,
    child_of,
    everything_told,
    folder_at,
    kill,
    minder_of,
    peak_memory,
    plan_for,
)
from tasks import transitions
from tasks.tests.crew import Crew, Work, crew, until
from tests import servers
from tests.seaweed import SeaweedServer

MIB = 1 << 20
ROWS = 12_000  # 384 MB of dump
SOON = 15.0
CANCEL_SECONDS = 2.0

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def workers(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[Crew]:
    with (
        django_db_blocker.unblock(),
        crew(tmp_path_factory.mktemp("crew"), workers=2, **REAL) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def shop():
    """A server of this module's own, which its tests may stop and start."""
    with servers.postgres_server(servers.OLD, durable=True) as server:
        server.createdb("shop")
        server.execute(SHOP.format(rows=ROWS), "shop")
        yield server


@pytest.fixture
def kept(tmp_path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def yard(transactional_db, team, shop, kept, workers) -> Yard:
    plan = plan_for(team, shop, "shop", folder_at(team, kept), max_attempts=1)
    return Yard(server=shop, plan=plan, crew=workers)


@pytest.fixture
def bucket(team, s3_place) -> Destination:
    return Destination.objects.create(
        team=team, name="bucket", kind="s3", options=s3_place.options, secret=s3_place.secret
    )


def use(yard: Yard, destination: Destination) -> None:
    yard.plan.destination = destination
    yard.plan.compression = "none"  # more to upload, so that it takes longer
    yard.plan.save()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fails(yard: Yard, work: Work, since: float, *words: str) -> str:
    """It ended as failed, soon, with these words, and left nothing anywhere."""
    row = work.ends(SOON)
    assert time.monotonic() - since < SOON
    assert row.status == "failed", row.status
    for word in words:
        assert word in row.error
    assert yard.server.password not in everything_told(work)
    assert yard.secrets_seen() == []
    assert not Backup.objects.filter(completed_at__isnull=False).exists()
    return row.error


def test_it_works(yard, kept):
    backup, work = yard.start()
    row = work.ends(60)
    backup.refresh_from_db()
    assert row.status == "succeeded", row.error
    assert files(kept) == [backup.key, f"{backup.key}.manifest.json"]
    assert backup.stored_bytes == (kept / backup.key).stat().st_size
    assert backup.raw_bytes > ROWS * NOTE_BYTES
    assert backup.tables["public.notes"]["rows"] == ROWS
    assert yard.server.password not in everything_told(work)
    assert yard.server.password not in (kept / f"{backup.key}.manifest.json").read_text()
    assert yard.secrets_seen() == []


def test_two_runs_in_the_same_second_make_two_objects(yard, kept):
    runs = [yard.start() for _ in range(2)]
    keys = set()
    for backup, work in runs:
        assert work.ends(60).status == "succeeded", work.row.error
        backup.refresh_from_db()
        keys.add(backup.key)
    assert files(kept) == sorted([*keys, *(f"{key}.manifest.json" for key in keys)])
    assert len(keys) == 2


def test_a_key_belongs_to_one_backup(yard):
    first, second = (
        Backup.objects.create(
            team=yard.plan.team,
            plan=yard.plan,
            database=yard.plan.database,
            destination=yard.plan.destination,
        )
        for _ in range(2)
    )
    assert first.reserve("shop_2025-01-15T02-00-00Z.sql.gz")
    assert not second.reserve("shop_2025-01-15T02-00-00Z.sql.gz")
    assert second.reserve("shop_2025-01-15T02-00-00Z_2.sql.gz")


def test_the_next_backup_is_estimated_by_the_last_one(yard):
    first, work = yard.start()
    work.ends(60)
    first.refresh_from_db()
    _, second = yard.start_and_wait_for_bytes()
    assert second.row.progress_total == first.raw_bytes
    transitions.cancel(second.row, by=None)
    second.ends()


def test_a_child_needs_little_memory_above_an_idle_worker(yard):
    idle = peak_memory(yard.crew.called("worker")[0])
    _, work = yard.start_and_wait_for_bytes()
    child, peak = child_of(work), 0
    while not work.row.ended:
        peak = max(peak, peak_memory(child))
    assert 0 < peak < idle + 120 * MIB


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_cancel_leaves_nothing_after_two_seconds(yard, kept, place, request):
    traces = lambda: files(kept)  # noqa: E731
    if place == "bucket":
        use(yard, request.getfixturevalue("bucket"))
        there = request.getfixturevalue("s3_place")
        traces = lambda: there.names() + there.uploads()  # noqa: E731
    _, work = yard.start_and_wait_for_bytes()
    assert yard.sessions() > 0
    assert yard.pg_dumps()
    assert yard.secrets_seen() == []
    began = time.monotonic()
    assert transitions.cancel(work.row, by=None)
    until(
        lambda: (
            work.row.status == "cancelled" and not (yard.pg_dumps() or yard.sessions() or traces())
        ),
        CANCEL_SECONDS,
        f"nothing is left: {work.row.status} {yard.pg_dumps()} {yard.sessions()} {traces()}",
    )
    assert time.monotonic() - began < CANCEL_SECONDS


def test_a_dump_that_waits_for_a_lock_is_cancelled_too(yard, kept):
    with yard.server.connect("shop") as migration:
        migration.execute("BEGIN")
        migration.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        _, work = yard.start()
        until(lambda: yard.sessions() and yard.pg_dumps(), what="pg_dump waits")
        transitions.cancel(work.row, by=None)
        until(lambda: not (yard.pg_dumps() or yard.sessions()), CANCEL_SECONDS, "pg_dump has gone")
        assert work.ends().status == "cancelled"
        migration.execute("ROLLBACK")
    assert files(kept) == []


def test_pg_dump_killed(yard, kept):
    _, work = yard.start_and_wait_for_bytes()
    began = time.monotonic()
    kill(yard.pg_dumps()[0])
    fails(yard, work, began, "pg_dump was killed by signal 9", "out of memory")
    assert files(kept) == []


def test_postgres_stopped_and_started_again(yard, kept):
    _, work = yard.start_and_wait_for_bytes()
    began = time.monotonic()
    port = yard.server.port
    yard.server.stop()
    try:
        fails(yard, work, began, f"127.0.0.1:{port}")
        assert files(kept) == []
        _, refused = yard.start()
        fails(yard, refused, time.monotonic(), f"Nothing listens at 127.0.0.1:{port}")
    finally:
        yard.server.start()


def test_a_wrong_password(yard):
    database = yard.plan.database
    database.password = "wrong horse"
    database.save()
    yard.plan.max_attempts = 3
    yard.plan.save()
    _, work = yard.start()
    error = fails(yard, work, time.monotonic(), "password", "Correct user name and password")
    assert "wrong horse" not in everything_told(work) + error
    assert len(work.attempts) == 1, "to try again can't help"


def test_an_unknown_host(yard):
    database = yard.plan.database
    database.host = "nowhere.invalid"
    database.save()
    _, work = yard.start()
    fails(yard, work, time.monotonic(), "nowhere.invalid", "Correct the host name")


def test_s3_stopped(yard, team):
    with SeaweedServer() as server:
        place = server.place()
        use(
            yard,
            Destination.objects.create(
                team=team, name="own", kind="s3", options=place.options, secret=place.secret
            ),
        )
        _, work = yard.start_and_wait_for_bytes()
        began = time.monotonic()
        server.stop()
        error = fails(yard, work, began, server.endpoint)
        assert place.secret not in everything_told(work) + error
        server.start()
        # The multipart upload could not be undone while the server was away.
        until(lambda: not (place.names() or place.uploads()), 40, "the upload is undone")


def test_the_disk_is_full(yard, kept):
    use(yard, yard.plan.destination)
    with full_after(kept, yard.crew, 64 * MIB) as word:
        _, work = yard.start()
        fails(yard, work, time.monotonic(), str(kept), word)
        assert files(kept) == []


@contextmanager
def full_after(folder: Path, workers: Crew, size: int) -> Iterator[str]:
    """A small file system over the folder; where only root could mount one, a limit on the size
    of the workers' files. Gives a word of the sentence to expect."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0:
        try:
            yield "is full"
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    pids = workers.called("worker")
    before = [resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids]
    for pid, (_, hard) in zip(pids, before, strict=True):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield "file this large"
    finally:
        for pid, limits in zip(pids, before, strict=True):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def test_a_killed_child_is_tried_again(yard, kept):
    yard.plan.max_attempts = 2
    yard.plan.save()
    backup, work = yard.start_and_wait_for_bytes()
    first = child_of(work)
    kill(first)
    row = work.ends(60)
    assert row.status == "succeeded", row.error
    assert work.outcomes == ["crashed", "succeeded"]
    ends_whole_and_alone(backup, work, kept)


def test_a_killed_worker_is_replaced_and_its_backup_tried_again(yard, kept):
    yard.plan.max_attempts = 2
    yard.plan.save()
    backup, work = yard.start_and_wait_for_bytes()
    began = time.monotonic()
    kill(minder_of(work))
    work.runs(2, SOON)
    assert time.monotonic() - began < SOON
    assert work.ends(60).status == "succeeded"
    ends_whole_and_alone(backup, work, kept)


def ends_whole_and_alone(backup: Backup, work: Work, kept: Path) -> None:
    """One object with its manifest, nothing of the attempt before, which had ended by then."""
    backup.refresh_from_db()
    assert files(kept) == [backup.key, f"{backup.key}.manifest.json"]
    first, second = work.attempts
    assert first.finished_at <= second.started_at
