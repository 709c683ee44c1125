"""A web process to be asked anything, everybody who may ask, and what they may ask about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import core as hypothesis_core

from tasks.api.uploads import TUS
from tests.api.asking import ready_platform
from tests.api.belongings import Belongings
from tests.api.document import document
from tests.web import Web, web_process


@pytest.fixture(scope="module")
def web(django_db_setup, tmp_path_factory) -> Iterator[Web]:
    """One that reaches this machine alone, and keeps as many uploads open as are asked for."""
    more = {"DJANGO_SETTINGS_MODULE": "tests.api.settings", "UPLOAD_SESSIONS": "1000000"}
    with web_process(tmp_path_factory.mktemp("web"), **more) as running:
        yield running


@pytest.fixture(scope="module")
def schema() -> Iterator[Any]:
    """The document as schemathesis reads it."""
    printer = hypothesis_core.RepresentationPrinter
    import schemathesis

    made = schemathesis.openapi.from_dict(document(), config=schemathesis.Config())
    made.config.generation.update(with_security_parameters=False)
    _teach_tus(schemathesis)
    yield made
    # It has Hypothesis print no examples, which other tests need.
    hypothesis_core.RepresentationPrinter = printer


def _teach_tus(schemathesis: Any) -> None:
    """How bodies of its media type are sent."""
    from schemathesis.transport.serialization import serialize_binary

    @schemathesis.serializer(TUS)
    def serialize(context: Any, value: Any) -> bytes:
        return serialize_binary(value)


@pytest.fixture
def people(owner, mate, viewer, stranger, superuser) -> dict[str, Any]:
    known = {"owner": owner, "mate": mate, "viewer": viewer, "stranger": stranger}
    return {**known, "superuser": superuser, "nobody": None}


@pytest.fixture
def own(team, owner, tmp_path, settings) -> Belongings:
    settings.UPLOAD_SESSIONS = 10**6
    made = Belongings(team, owner, tmp_path)
    ready_platform(made)
    return made
