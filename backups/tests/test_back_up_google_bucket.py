"""A backup through the whole pipeline into a bucket at Google: proven, killed, undone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backups.models import Backup, Destination, Proof
from backups.tests.yard import SHOP, Yard, child_of, everything_told, kill, plan_for
from tasks.tests.crew import Crew, Work, crew, until
from tests import servers

ROWS = 600  # 19 MB of dump

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def workers(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[Crew]:
    with (
        django_db_blocker.unblock(),
        crew(
            tmp_path_factory.mktemp("crew"),
            workers=1,
            DJANGO_SETTINGS_MODULE="backdrop_site.settings",
        ) as running,
    ):
        yield running


@pytest.fixture
def yard(transactional_db, team, postgres15, gcs_place, workers) -> Iterator[Yard]:
    destination = Destination.objects.create(
        team=team, name="google", kind="gcs", options=gcs_place.options
    )
    with servers.new_database(postgres15) as dbname:
        postgres15.execute(SHOP.format(rows=ROWS), dbname)
        plan = plan_for(team, postgres15, dbname, destination, max_attempts=1, compression="none")
        yield Yard(server=postgres15, plan=plan, crew=workers)


def test_it_works(yard, gcs_place):
    backup, work = yard.start()
    row = work.ends(60)
    assert row.status == "succeeded", row.error
    backup.refresh_from_db()
    assert gcs_place.names() == [backup.key, f"{backup.key}.manifest.json"]
    assert len(gcs_place.content(backup.key)) == backup.stored_bytes
    proof = backup.prove(by=None)
    row = Work(proof.task).ends(60)
    assert row.status == "succeeded", row.error
    assert Proof.objects.get(pk=proof.pk).verdict == Proof.Verdict.PROVEN


def test_what_a_killed_backup_had_opened_is_sealed_and_undone(yard, gcs_place):
    front = gcs_place.server.front
    before = set(front.sessions)
    front.goes_on.clear()
    try:
        backup, work = yard.start()
        until(gcs_place.uploads, 30, "the upload is open")
        [upload] = set(front.sessions) - before
        kept = until(lambda: [each.opened for each in work.attempts if len(each.opened) > 1], 10)
        assert upload not in everything_told(work)
        assert "secret" in {name for thing in kept[0] for name in thing}
        kill(child_of(work))
        assert work.ends(30).status == "failed"
        until(lambda: gcs_place.uploads() == [], 20, "the upload is cancelled")
    finally:
        front.goes_on.set()
    until(lambda: [each.opened for each in work.attempts] == [[]], 20, "it is forgotten")
    assert front.sessions[upload].ended == (499, b"")
    assert gcs_place.names() == []
    assert not Backup.objects.get(pk=backup.pk).complete
