from __future__ import annotations

import pytest

from backups.pipeline import engines
from backups.pipeline.errors import PipelineError


def test_it_works():
    assert engines.get("postgres").label == "PostgreSQL"
    engines.refuse_other("postgres", "postgres")


def test_every_row_stands_under_its_own_name():
    assert {name: engine.name for name, engine in engines.ENGINES.items()} == {
        name: name for name in engines.ENGINES
    }


def test_an_unknown_engine_is_told_with_those_that_are_known():
    with pytest.raises(PipelineError, match=r"no database engine oracle.*postgres") as told:
        engines.get("oracle")
    assert told.value.permanent


@pytest.mark.parametrize("engine", engines.ENGINES.values(), ids=lambda engine: engine.label)
def test_nobody_sees_the_password_of_a_server(engine):
    server = engine.server(host="h", port=1, dbname="d", user="u", password="hidden word")
    assert "hidden word" not in f"{server} {server!r}"


@pytest.mark.parametrize("engine", engines.ENGINES.values(), ids=lambda engine: engine.label)
def test_only_what_a_restore_began_is_dropped(engine):
    server = engine.server(host="127.0.0.1", port=1, dbname="d", user="u")
    with pytest.raises(ValueError, match="not a database that a restore began"):
        engine.drop_restoring(server, "shop")
