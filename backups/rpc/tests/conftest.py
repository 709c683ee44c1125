"""A daemon shared by a module, workers beside it, and a database that can be backed up."""

from __future__ import annotations

import pytest

from backups.rpc.tests.calls import door
from backups.tests.conftest import *  # noqa: F403
from backups.tests.yard import REAL, SHOP, folder_at, plan_for
from tasks.tests.crew import crew
from tests import servers


@pytest.fixture(scope="module")
def rpc(django_db_setup, django_db_blocker, tmp_path_factory):
    """The gRPC door of a daemon that no test harms."""
    with django_db_blocker.unblock(), door(tmp_path_factory.mktemp("door")) as opened:
        yield opened


@pytest.fixture(scope="module")
def workers(django_db_setup, django_db_blocker, tmp_path_factory):
    with (
        django_db_blocker.unblock(),
        crew(tmp_path_factory.mktemp("crew"), workers=2, **REAL) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def shop_dbname(postgres15):
    with servers.new_database(postgres15, SHOP.format(rows=100)) as dbname:
        yield dbname


@pytest.fixture
def shop(transactional_db, team, postgres15, shop_dbname, tmp_path):
    """A plan whose database answers; both are called as in `yard`: nightly, shop."""
    folder = tmp_path / "stored"
    return plan_for(team, postgres15, shop_dbname, folder_at(team, folder))


@pytest.fixture
def waiting(plan):
    """A plan whose backups no worker takes."""
    plan.database.queue = "nobody"
    plan.database.save()
    return plan
