"""What tests of the engine share: workers of their own on the test database, and toy jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tasks.tests.crew import Crew, Toys, crew


@pytest.fixture(scope="module")
def shared_workers(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[Crew]:
    """Three workers for a whole module, whose tests leave them alive and unharmed."""
    with django_db_blocker.unblock(), crew(tmp_path_factory.mktemp("crew"), workers=3) as running:
        yield running


@pytest.fixture
def toys(transactional_db, team, tmp_path) -> Toys:
    return Toys(team, tmp_path)
