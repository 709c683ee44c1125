"""Every leaf says which variables a first start takes it from, and the settings know them."""

from __future__ import annotations

import pytest
from django.conf import settings

from backups import storages, variables
from backups.pipeline.engines import ENGINES


def test_it_works():
    assert variables.names() <= settings.KNOWN_NAMES
    assert {"STORAGE", "POSTGRES_URL", "S3_BUCKET", "GCS_CREDENTIALS_FILE"} <= variables.names()
    assert "S3_BUCKET_FILE" not in variables.names()


def test_every_engine_has_a_variable_of_its_own():
    named = [engine.url.variable for engine in ENGINES.values()]
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("kind", storages.KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_of_destination_can_be_the_first(kind):
    needed, known = set(kind.schema["required"]), {*kind.schema["properties"], "secret"}
    assert needed <= set(kind.variables) <= known
    assert {*kind.filed, *kind.guarded} <= set(kind.schema["properties"])
    assert ("secret" in kind.variables) == bool(kind.credential)
