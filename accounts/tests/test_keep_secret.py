"""A secret is stored encrypted and shown nowhere: not printed, dumped, searched or rendered."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle

import pytest
from django import forms
from django.apps import apps
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core import serializers
from django.core.exceptions import FieldError, ValidationError
from django.core.management import call_command
from django.db import connection, models
from django.test.utils import isolate_apps
from rest_framework.renderers import JSONRenderer

from accounts.errors import UnreadableSecretError
from accounts.fields import EncryptedTextField, Secret, SecretInput

# By name, because this app may import none of those above it.
Database = apps.get_model("backups", "Database")
PLAIN = "hunter2"


@pytest.fixture
def database(team):
    return Database.objects.create(
        team=team, name="shop", dbname="shop", username="u", password=PLAIN
    )


def stored(database) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM backups_database WHERE id = %s", [database.pk])
        return cursor.fetchone()[0]


class DatabaseForm(forms.ModelForm):
    class Meta:
        model = Database
        fields = ["host", "password"]


def test_it_works(database):
    assert PLAIN not in stored(database)
    assert Database.objects.get().password.reveal() == PLAIN


def test_equal_texts_are_stored_differently_and_name_their_scheme(database):
    before = stored(database)
    database.save()
    assert stored(database) != before
    assert before.startswith("v1:")


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{:>20}".format,
        "{!r}".format,
        lambda secret: f"{secret}",
        lambda secret: "%s %r" % (secret, [secret]),  # noqa: UP031 (as logging does it)
        lambda secret: repr(copy.deepcopy({"password": secret})),
        lambda secret: json.dumps({"password": secret}, default=str),
        lambda secret: json.dumps(secret, default=vars_of),
    ],
)
def test_printing_shows_dots(show):
    shown = show(Secret(PLAIN))
    assert PLAIN not in shown


def vars_of(thing) -> str:
    return repr(getattr(thing, "__dict__", None))


def test_it_can_neither_be_pickled_nor_made_json_of(database):
    for thing in (Secret(PLAIN), database):
        with pytest.raises(TypeError, match="not to be pickled"):
            pickle.dumps(thing)
    for encode in (json.dumps, JSONRenderer().render):
        with pytest.raises(TypeError):
            encode({"password": Secret(PLAIN)})


def test_logging_shows_dots(caplog):
    with caplog.at_level(logging.INFO):
        logging.getLogger("backups").info("with %s and %r", Secret(PLAIN), {"p": Secret(PLAIN)})
    assert "••••••" in caplog.text
    assert PLAIN not in caplog.text


def test_secrets_compare_by_what_they_hold():
    assert Secret("ä") == Secret("ä") != Secret("b")
    assert Secret(PLAIN) != PLAIN
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")


def test_what_is_assigned_is_wrapped_at_once(team):
    made = Database(team=team, password=PLAIN)
    assert PLAIN not in repr(vars(made))
    made.password = "other"
    assert made.password == Secret("other")


@pytest.mark.parametrize(
    "read",
    [
        lambda: Database.objects.values("password")[0]["password"],
        lambda: Database.objects.values_list("password", flat=True)[0],
        lambda: Database.objects.only("name")[0].password,
        lambda: Database.objects.defer("password")[0].password,
        lambda: Database.objects.annotate(p=models.F("password"))[0].p,
        lambda: Database.objects.raw("SELECT * FROM backups_database")[0].password,
    ],
)
def test_every_way_of_reading_gives_a_secret(database, read):
    assert read() == Secret(PLAIN)


def test_bulk_and_update_write_it_encrypted(database):
    Database.objects.update(password="third")
    assert stored(database).startswith("v1:")
    database.refresh_from_db()
    database.password = Secret("fourth")
    Database.objects.bulk_update([database], ["password"])
    assert stored(database).startswith("v1:")
    assert Database.objects.get().password.reveal() == "fourth"


def test_it_can_not_be_searched(database):
    for lookup in ("password", "password__contains", "password__in"):
        with pytest.raises(FieldError):
            list(Database.objects.filter(**{lookup: PLAIN}))
    assert not Database.objects.filter(password__isnull=True).exists()


def test_dumps_leave_it_out(database):
    out = io.StringIO()
    call_command("dumpdata", "backups", "accounts", stdout=out)
    dumped = {row["model"]: row["fields"] for row in json.loads(out.getvalue())}
    assert dumped["backups.database"]["password"] == ""
    for form in ("json", "xml", "jsonl"):
        text = serializers.serialize(form, [database])
        assert PLAIN not in text
        assert "v1:" not in text


def test_another_key_is_told_by_the_fields_name(database, settings):
    settings.ENCRYPTION_KEY = "k" * 32
    with pytest.raises(
        UnreadableSecretError, match=r"backups\.Database\.password .*ENCRYPTION_KEY"
    ):
        Database.objects.get()
    assert Database.objects.defer("password").get().name == "shop"


def test_what_is_no_ciphertext_is_refused(database):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE backups_database SET password = 'plain'")
    with pytest.raises(UnreadableSecretError):
        Database.objects.get()


def test_an_altered_ciphertext_is_refused(database):
    cipher = stored(database)
    flipped = cipher[:-10] + ("A" if cipher[-10] != "A" else "B") + cipher[-9:]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE backups_database SET password = %s", [flipped])
    with pytest.raises(UnreadableSecretError):
        Database.objects.get()


def test_a_form_never_shows_it(database):
    for page in (
        DatabaseForm(instance=database).as_p(),
        DatabaseForm({"host": "", "password": "typed again"}, instance=database).as_p(),
        DatabaseForm(initial={"password": Secret(PLAIN)}).as_p(),
    ):
        assert 'type="password"' in page
        for text in (PLAIN, "••••", "typed again", "v1:"):
            assert text not in page


def test_no_widget_that_shows_text_can_be_given_to_it():
    field = Database._meta.get_field("password")
    for widget in (AdminTextareaWidget, forms.Textarea(), forms.TextInput):
        assert isinstance(field.formfield(widget=widget).widget, SecretInput)


def test_an_empty_box_keeps_what_is_stored_and_is_no_change(database):
    form = DatabaseForm({"host": "db2", "password": ""}, instance=database)
    assert form.is_valid(), form.errors
    assert form.changed_data == ["host"]
    form.save()
    assert Database.objects.get().password.reveal() == PLAIN


def test_a_filled_box_replaces_it_as_it_was_typed(database):
    form = DatabaseForm({"host": "db", "password": " spaced "}, instance=database)
    assert form.is_valid(), form.errors
    assert "password" in form.changed_data
    form.save()
    assert Database.objects.get().password.reveal() == " spaced "


@pytest.fixture
def holder():
    """A model of one test, which no other test's registry knows."""
    with isolate_apps("accounts"):

        class Holder(models.Model):
            needed = EncryptedTextField()
            indexed = EncryptedTextField(unique=True)

            class Meta:
                app_label = "accounts"

            def __str__(self):
                return "holder"

        yield Holder


def test_one_that_is_needed_is_asked_for_only_while_there_is_none(holder):
    form = forms.modelform_factory(holder, fields=["needed"])
    assert form({"needed": ""}).errors == {"needed": ["This field is required."]}
    assert form({"needed": ""}, instance=holder(needed=PLAIN)).is_valid()
    assert "required" in str(form()["needed"])
    assert "required" not in str(form(instance=holder(needed=PLAIN))["needed"])
    with pytest.raises(ValidationError):
        holder._meta.get_field("needed").clean("", None)


def test_a_unique_one_is_a_mistake_in_the_model(holder):
    assert [error.id for error in holder._meta.get_field("indexed").check()] == ["accounts.E002"]
