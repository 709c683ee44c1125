"""The settings know the variables that a first start reads."""

from __future__ import annotations

from backdrop_site import environment
from backups import first_start
from backups.tests.test_begin_first_start import NAMES


def test_it_works():
    secrets = {f"{name}_FILE" for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY", "POSTGRES_URL")}
    assert {*NAMES, *secrets} <= set(environment.ELSEWHERE)


def test_what_an_error_names_is_a_variable():
    assert set(first_start.VARIABLES.values()) <= {*NAMES, "BACKUP_DIR"}
