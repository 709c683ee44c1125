"""Every operation of the OpenAPI document, asked well and badly, answers as the document says.

Schemathesis draws the requests, and holds each answer to the document: its status, its type, its
headers, its body. What is refused is a problem document. It runs against a real web process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from itertools import islice
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from tests.api.asking import GRANTED, NOT_GRANTED, Ask, Asking, Least
from tests.api.belongings import Belongings
from tests.api.document import operations
from tests.fuzzing import DEPTH, ONLY, drawing
from tests.web import Web, token_of

pytestmark = pytest.mark.django_db(transaction=True)

DRAWN = 5
"""Requests to each operation that keep to the document, and as many that don't."""
COVERED = 10
"""Requests to each operation at the edges of what the document says, at most."""
UNKNOWN = 10**9
"""Numbers from here on name nothing."""


class Door:
    """Sends requests to one operation as somebody, and holds the answers to the document."""

    def __init__(self, web: Web, operation: Any, askers: dict[str, Any]) -> None:
        self.web, self.operation = web, operation
        self.tokens = {
            name: {"Authorization": f"Bearer {token_of(user)}"} if user else {}
            for name, user in askers.items()
        }
        self.session = requests.Session()

    def case(self, ask: Ask) -> Any:
        """Just that request, as schemathesis has it."""
        told: dict[str, Any] = {"path_parameters": ask.path, "headers": ask.headers}
        if ask.body is not None:
            told |= {"body": ask.body, "media_type": "application/json"}
        if ask.content is not None:
            told |= {"body": ask.content, "media_type": ask.headers["Content-Type"]}
        return self.operation.Case(**told)

    def send(self, case: Any, asker: str) -> int:
        headers = self.tokens[asker]
        answer = case.call(base_url=self.web.url, session=self.session, headers=headers, timeout=20)
        return self._judged(answer, case, asker)

    def send_raw(self, told: requests.Request, ask: Ask, asker: str) -> int:
        """As it stands, in place of what would be granted."""
        told.url = self.web.url + told.url
        told.headers = {**self.tokens[asker], **told.headers}
        answer = self.session.send(told.prepare(), timeout=20, allow_redirects=False)
        return self._judged(answer, self.case(ask), asker)

    def _judged(self, answer: Any, case: Any, asker: str) -> int:
        try:
            case.validate_response(answer, checks=_checks())
        except BaseException as error:
            log = self.web.log.read_text()[-4000:]
            error.add_note(f"Asked by {asker}. The log of the web process ends so:\n{log}")
            raise
        return int(answer.status_code)


def _checks() -> list[Any]:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    return [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
        is_told,
    ]


def is_told(ctx: Any, response: Any, case: Any) -> None:
    """What is refused is a problem document."""
    if response.status_code < 400:
        return
    [kind] = response.headers["content-type"]
    assert kind == "application/problem+json", kind
    problem = response.json()
    assert problem["type"] == "about:blank"
    assert problem["status"] == response.status_code
    assert problem["title"]
    assert problem["detail"]
    if "errors" in problem:
        assert response.status_code == 400
        assert all(texts and all(texts) for texts in problem["errors"].values())


@st.composite
def fitted(draw: Any, drawn: st.SearchStrategy[Any], good: Callable[[], Ask]) -> Any:
    """A drawn request, mostly about something that is there, with some of what would be granted."""
    case, ask = draw(drawn), good()
    if case.path_parameters and draw(st.integers(0, 3)):
        case.path_parameters = ask.path
    else:
        case.path_parameters = {n: _unknown(v) for n, v in (case.path_parameters or {}).items()}
    if draw(st.booleans()):
        case.headers.update(ask.headers)
    if isinstance(case.body, dict) and isinstance(ask.body, dict) and draw(st.integers(0, 3)):
        kept = draw(st.sets(st.sampled_from(sorted(ask.body))))
        case.body = {**ask.body, **{n: v for n, v in case.body.items() if n not in kept}}
    return case


def _unknown(value: Any) -> Any:
    """What names nothing: drawn numbers are small, as those of rows are."""
    return value + UNKNOWN if isinstance(value, int) else value


def covered(operation: Any) -> list[Any]:
    """Requests at the edges of the document: of those that keep to it, and of those that don't."""
    from schemathesis import GenerationMode

    most, found = COVERED * DEPTH // 2, []
    for mode in GenerationMode:
        cases = operation.schema.iter_coverage_cases(
            operation,
            generation_modes=[mode],
            generation_config=operation.schema.config.generation,
        )
        some = list(islice(cases, 4 * most))
        found += some[:: 1 + len(some) // most]
    return found


def test_it_works(schema, web, own, owner):
    door = Door(web, schema["/api/databases/"]["POST"], {"owner": owner})
    _, ask = GRANTED["POST /api/databases/"]
    case = door.case(ask(own))
    assert door.send(case, "owner") == 201
    assert door.send(case, "owner") == 400  # the name is taken


def test_every_operation_is_known():
    assert set(GRANTED) == {each.label for each in operations()}
    assert set(NOT_GRANTED) <= set(GRANTED)


@pytest.mark.timeout(1800)
def test_every_operation_answers_as_the_document_says(subtests, schema, web, own, people):
    for operation in looked_at(schema):
        least, asking = GRANTED[operation.label]
        door = Door(web, operation, people)
        with subtests.test(operation.label):
            granted = {
                asker: door.send(door.case(asking(own)), asker)
                for asker in ("owner", "superuser")
                if asker == "superuser" or least is not Least.STAFF
            }
            good = all(200 <= status < 300 for status in granted.values())
            assert good != (operation.label in NOT_GRANTED), granted
            ask_at_the_edges(door, own, asking)
            ask_by_lot(door, own, asking)
        own.clear()


def looked_at(schema: Any) -> list[Any]:
    found = [result.ok() for result in schema.get_all_operations()]
    return [operation for operation in found if operation.label.startswith(ONLY)]


def ask_at_the_edges(door: Door, own: Belongings, asking: Asking) -> None:
    for number, case in enumerate(covered(door.operation)):
        if number % 2:
            case.path_parameters = asking(own).path
        door.send(case, "owner")


def ask_by_lot(door: Door, own: Belongings, asking: Asking) -> None:
    from schemathesis import GenerationMode

    once, reads = asking(own), door.operation.method == "get"
    everybody = st.sampled_from(sorted(door.tokens))
    for mode in GenerationMode:
        drawn = fitted(
            door.operation.as_strategy(generation_mode=mode),
            lambda: once if reads else asking(own),
        )

        @drawing(DRAWN)
        @given(case=drawn, asker=st.sampled_from(["owner", "superuser"]) | everybody)
        def ask(case, asker):
            door.send(case, asker)

        with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
            ask()  # some operations take nothing that could be wrong
