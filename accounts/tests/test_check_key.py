"""Starting with another ENCRYPTION_KEY is told in a clear sentence, before any secret is read."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection

from accounts import keys
from accounts.models import KeyFingerprint

pytestmark = pytest.mark.django_db

OTHER = "another key of more than 32 bytes, at least"


def test_it_works(settings):
    keys.remember()
    keys.check()
    settings.ENCRYPTION_KEY = OTHER
    with pytest.raises(keys.WrongKeyError, match="ENCRYPTION_KEY is not the key"):
        keys.check()


def test_a_database_without_a_fingerprint_takes_any_key(settings):
    settings.ENCRYPTION_KEY = OTHER
    keys.check()


def test_the_first_key_stays_the_one(settings):
    keys.remember()
    first = KeyFingerprint.objects.get().fingerprint
    settings.ENCRYPTION_KEY = OTHER
    with pytest.raises(keys.WrongKeyError) as told:
        keys.remember()
    assert KeyFingerprint.objects.get().fingerprint == first
    assert first in str(told.value)
    assert OTHER not in str(told.value)


def test_the_fingerprint_is_of_the_key_and_does_not_tell_it(settings):
    settings.ENCRYPTION_KEY = OTHER
    name = keys.fingerprint()
    assert name == keys.fingerprint()
    assert name not in OTHER
    settings.ENCRYPTION_KEY = OTHER + "!"
    assert keys.fingerprint() != name


def test_every_command_that_checks_the_system_refuses_to_start(settings):
    keys.remember()
    call_command("check", stdout=io.StringIO())
    settings.ENCRYPTION_KEY = OTHER
    with pytest.raises(CommandError, match=r"(?s)accounts\.E001.*ENCRYPTION_KEY"):
        call_command("check", stdout=io.StringIO())


def test_a_database_without_tables_is_no_matter_of_the_key():
    def refuse(*args):
        raise DatabaseError("no such table")

    with connection.execute_wrapper(refuse):
        assert keys.check_at_start() == []
