"""The command line and a daemon with TLS: whom it trusts, and what it says when it doesn't."""

from __future__ import annotations

from pathlib import Path

import pytest

from backdrop_site.cli.tests.terminal import Shell
from backups.rpc.tests.calls import Door, door
from backups.rpc.tests.certificates import ELSEWHERE, Pair, authority, signed
from tests.web import token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def ours(folder) -> Pair:
    return authority(folder, "ours")


@pytest.fixture(scope="module")
def secure(django_db_setup, django_db_blocker, tmp_path_factory, folder, ours):
    """A daemon whose certificate an authority of our own has signed."""
    pair = signed(folder, ours)
    with (
        django_db_blocker.unblock(),
        door(tmp_path_factory.mktemp("secure"), **pair.settings) as opened,
    ):
        yield opened


@pytest.fixture
def shell(secure: Door, owner, tmp_path) -> Shell:
    return Shell(tmp_path, secure.address, token_of(owner))


def refused(done, code: int, words: str) -> None:
    assert done.code == code, done.err
    assert words in done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "SSL_ERROR" not in done.err, "that is no sentence"


def test_it_works(shell, ours, plan):
    for options in (["--ca", str(ours.certificate)], ["--tls", "--ca", str(ours.certificate)]):
        done = shell.run(*options, "databases")
        assert done.code == 0, done.err
        assert "shop" in done.out
    shell.environment |= {"BACKDROP_CA": str(ours.certificate), "BACKDROP_TLS": "true"}
    assert shell.run("databases").code == 0
    assert "answers, TLS" in shell.run("doctor").out


def test_a_daemon_that_somebody_else_vouches_for_is_not_trusted(shell, folder):
    other = authority(folder, "other")
    for options in (["--ca", str(other.certificate)], ["--tls"]):
        done = shell.run(*options, "databases")
        refused(done, 4, f"The certificate of {shell.environment['BACKDROP_ADDRESS']} is not")
        assert "--ca FILE" in done.err
    assert "not trusted here" in shell.run("--tls", "doctor").out


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"names": ELSEWHERE}, "is for another name"), ({"ended": True}, "has expired")],
)
def test_a_certificate_that_is_not_good_is_told_apart(shell, ours, tmp_path, wrong, words):
    with door(tmp_path, **signed(tmp_path, ours, **wrong).settings) as opened:
        shell.environment["BACKDROP_ADDRESS"] = opened.address
        refused(shell.run("--ca", str(ours.certificate), "databases"), 4, words)


def test_tls_where_there_is_none_and_none_where_there_is(shell, rpc, ours):
    refused(shell.run("--plaintext", "databases"), 4, "does it want --tls?")
    shell.environment["BACKDROP_ADDRESS"] = rpc.address
    refused(shell.run("--ca", str(ours.certificate), "databases"), 4, "does not speak TLS")


def test_a_file_that_holds_no_certificate_is_refused_before_anybody_is_asked(shell, ours):
    refused(shell.run("--ca", str(ours.key), "databases"), 2, "holds no certificate")
    refused(shell.run("--ca", "nowhere.crt", "databases"), 2, "does not exist")
    both = ("--plaintext", "--ca", str(ours.certificate))
    refused(shell.run(*both, "databases"), 2, "leave out")
