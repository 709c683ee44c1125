"""The settings know the variables that a first start reads."""

from __future__ import annotations

from backdrop_site import environment
from backups import first_start, storages
from backups.database_urls import VARIABLES
from backups.tests.test_begin_first_start import NAMES


def test_it_works():
    secrets = {f"{name}_FILE" for name in (*first_start.SECRETS, *(one.name for one in VARIABLES))}
    assert {*NAMES, *secrets} <= set(environment.ELSEWHERE)


def test_what_an_error_names_is_a_variable():
    named = {variable for kind in first_start.VARIABLES.values() for variable in kind.values()}
    assert named <= {*NAMES, "BACKUP_DIR"}


def test_every_kind_of_destination_can_be_the_first():
    assert set(first_start.VARIABLES) == set(storages.KINDS)
    for name, variables in first_start.VARIABLES.items():
        kind = storages.KINDS[name]
        assert (
            set(kind.schema["required"]) <= set(variables) <= {*kind.schema["properties"], "secret"}
        )
