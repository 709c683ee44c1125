"""Every operation of the OpenAPI document, asked in ways that no document foresees.

Each request would be granted but for one or two things in it: bytes that are no text, numbers of
any length, dates at the ends of time, JSON of any depth, addresses and headers that mean nothing.
What is answered keeps to the document all the same.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.api.asking import GRANTED, Ask, Asking
from tests.api.belongings import Belongings
from tests.api.test_hold_schema import Door, looked_at
from tests.fuzzing import drawing

pytestmark = pytest.mark.django_db(transaction=True)

DRAWN = 12

TEXTS = st.sampled_from(
    [
        "\0",
        "a\0b",
        "\ud800",
        "x" * 300,
        "x" * 70_000,
        "ß\u202e\u0301🐘" * 20,
        "2024-02-30",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2024-01-01T00:00:60Z",
        "-1",
        "9" * 40,
        "9" * 5000,
        "1e400",
        "-1e999999999",
        "NaN",
        "٣",
        "²",
        "{}",
        "../..",
        "%00",
        "http://[",
        "'; --",
        "",
        " ",
    ]
)
NUMBERS = st.sampled_from(
    [-1, 0, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**40, 0.5, 1e308, -0.0, 10**400]
)
VALUES = st.one_of(
    TEXTS,
    NUMBERS,
    st.sampled_from([None, True, [], {}, [[]], [None], {"": None}, {"\0": "\ud800"}, ["\0"] * 3]),
    st.recursive(st.none() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)),
)
BODIES = st.sampled_from(
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"a"',
        b"1",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"{}" * 3,
        b'{"name": "\\ud800"}',
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": NaN}',
        b'{"options": 1e999}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"options": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"port": ' + b"9" * 5000 + b"}",
        b'{"name": "' + b"x" * 3_000_000 + b'"}',
        b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\na\0b\r\n--b--\r\n',
        b"name=%00&team=%FF&options.a=%00&name=%ED%A0%80",
        b"&" * 5000,
    ]
)
CONTENT_TYPES = st.sampled_from(
    [
        "application/json",
        "application/json; charset=zlib",
        "application/json; charset=utf-16",
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=hex",
        "multipart/form-data",
        "multipart/form-data; boundary=b",
        "multipart/form-data; boundary=b; charset=rot13",
        "multipart/form-data; boundary=\xff",
        "text/xml",
        "json",
        "/",
        "",
        "application/json, text/plain",
    ]
)
HEADERS = {
    "Accept": st.sampled_from(
        ["image/png", "\xff", "*/*;q=x", "a/b;" * 99, "", "application/yaml"]
    ),
    "Accept-Language": st.sampled_from(["\xff", "de" * 500, "*"]),
    "Authorization": st.sampled_from(
        ["Bearer", "Bearer a b", "Bearer \xff", "Basic YTpi", "Bearer " + "a" * 9000, "\xff", ""]
    ),
    "Content-Type": CONTENT_TYPES,
    "Cookie": st.sampled_from(
        ["sessionid=\xff", "sessionid=" + "a" * 32, "=;", 'sessionid="\\777"']
    ),
    "Idempotency-Key": st.sampled_from(["k" * 500, "\xff", "k"]),
    "If-None-Match": st.sampled_from(["*", '"', 'W/"\xff"', "x," * 999, '"1"']),
    "If-Range": st.sampled_from(['"x"', "\xff"]),
    "Last-Event-ID": st.sampled_from(["-1", "9" * 18, "9" * 19, "\xff", "²"]),
    "Range": st.sampled_from(
        [
            "bytes=0-",
            "bytes=-" + "9" * 5000,
            "bytes=" + "9" * 5000 + "-",
            "bytes=5-1",
            "x",
            "bytes=-0",
        ]
    ),
    "X-Forwarded-Proto": st.sampled_from(["https", "\xff"]),
}
COMMON = ("page", "page_size", "ordering", "wait", "after", "format", "x", "created_at__gte")


@st.composite
def distorted(draw: Any, operation: Any, ask: Ask) -> requests.Request:
    """What would be granted, but for one or two things."""
    path = {name: str(value) for name, value in ask.path.items()}
    headers, body, data = dict(ask.headers), ask.body, ask.content
    query: list[tuple[str, str]] = []
    if body is not None:
        headers["Content-Type"] = "application/json"
    names = sorted({*(each.name for each in operation.query), *COMMON})
    kinds = ["query", "header", "path" if path else "query"]
    kinds += ["field", "field", "body"] if body is not None else ["body"]
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=2)):
        match kind:
            case "query":
                query.append((draw(st.sampled_from(names)), draw(TEXTS | NUMBERS.map(short))))
            case "header":
                name = draw(st.sampled_from(sorted(HEADERS)))
                headers[name] = draw(HEADERS[name])
            case "path":
                path[draw(st.sampled_from(sorted(path)))] = draw(TEXTS | NUMBERS.map(short))
            case "field":
                body = {**body, draw(st.sampled_from([*body, "x"])): draw(VALUES)}
            case "body":
                data = draw(BODIES)
                headers.setdefault("Content-Type", draw(CONTENT_TYPES))
    if data is None and body is not None:
        data = json.dumps(body).encode()
    address = operation.path.format(**{name: quoted(value) for name, value in path.items()})
    told = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in query)
    url = f"{address}?{told}" if told else address
    return requests.Request(operation.method.upper(), url, headers=headers, data=data)


def short(number: float) -> str:
    return repr(number) if isinstance(number, float) or abs(number) < 10**50 else "9" * 5000


def quoted(text: str) -> str:
    """As an address has it, but not longer than a server reads."""
    return quote(text[:5000].encode("utf-8", "surrogatepass"), safe="")


def test_it_works(schema, web, own, people):
    operation = schema["/api/schedules/"]["GET"]
    door = Door(web, operation, people)
    told = requests.Request("GET", "/api/schedules/?page=%00")
    assert door.send_raw(told, Ask(), "owner") == 404


@pytest.mark.timeout(1800)
def test_every_operation_bears_it(subtests, schema, web, own, people):
    for operation in looked_at(schema):
        door = Door(web, operation, people)
        with subtests.test(operation.label):
            ask_nonsense(door, own, GRANTED[operation.label][1])
        own.clear()


def ask_nonsense(door: Door, own: Belongings, asking: Asking) -> None:
    once, reads = asking(own), door.operation.method == "get"

    @drawing(DRAWN)
    @given(data=st.data(), asker=st.sampled_from(["owner", "superuser"]))
    def ask(data, asker):
        granted = once if reads else asking(own)
        door.send_raw(data.draw(distorted(door.operation, granted)), granted, asker)

    ask()
