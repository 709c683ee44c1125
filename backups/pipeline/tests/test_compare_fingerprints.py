from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.pipeline.comparison import TableVerdict, compare
from backups.pipeline.fingerprint import Fingerprinted
from backups.pipeline.postgres.dumptext import DumpReader

MARKER = b"--\n-- PostgreSQL database dump complete\n--\n\n"
LARGE = b"SELECT pg_catalog.lo_open('1', 131072);\n%s\nSELECT pg_catalog.lo_close(0);\n"


def dump(tables: dict[str, list[bytes]], rest: bytes = b"") -> bytes:
    copies = [
        b"COPY %s (a) FROM stdin;\n%s\\.\n" % (name.encode(), b"".join(r + b"\n" for r in rows))
        for name, rows in tables.items()
    ]
    return b"".join(copies) + rest + MARKER


def fingerprint(text: bytes):
    stage = Fingerprinted([text], DumpReader)
    list(stage)
    return stage.result()


def verdicts(expected: bytes, found: bytes) -> dict[str, str]:
    compared = compare(fingerprint(expected), fingerprint(found))
    if compared.unsettled:
        compared = compared.settled([expected], [found], DumpReader)
    return {each.table: each.verdict for each in compared.tables}


def test_it_works():
    text = dump({"a": [b"1", b"2"], "b": []})
    compared = compare(fingerprint(text), fingerprint(text))
    assert compared.good
    assert [(each.table, each.rows, each.rows_restored) for each in compared.tables] == [
        ("a", 2, 2),
        ("b", 0, 0),
    ]
    assert str(compared) == "All 2 tables came back the same."


def test_each_table_gets_its_own_verdict():
    expected = {
        "same": [b"1"],
        "moved": [b"1", b"2", b"22"],
        "fewer": [b"1", b"2"],
        "other": [b"12", b"3"],
        "gone": [],
    }
    found = {
        "same": [b"1"],
        "moved": [b"22", b"1", b"2"],
        "fewer": [b"1"],
        "other": [b"1", b"23"],
        "new": [b"1"],
    }
    assert verdicts(dump(expected), dump(found)) == {
        "same": "same",
        "moved": "reordered",
        "fewer": "differs",
        "other": "differs",
        "gone": "missing",
        "new": "extra",
    }


def test_what_is_wrong_is_said_in_a_sentence():
    expected = fingerprint(dump({"a": [b"1", b"2"], "b": [b"1"], "c": []}))
    found = fingerprint(dump({"a": [b"1"], "c": []}))
    compared = compare(expected, found)
    assert not compared.good
    assert str(compared) == "a has 1 rows instead of 2; b did not come back."


def test_another_order_is_good():
    expected, found = dump({"a": [b"1", b"2"]}), dump({"a": [b"2", b"1"]})
    compared = compare(fingerprint(expected), fingerprint(found))
    assert compared.tables[0].verdict is TableVerdict.UNSETTLED
    assert not compared.good
    assert compared.settled([expected], [found], DumpReader).good


@pytest.mark.parametrize(
    ("there", "back"),
    [
        ([b"1", b"1", b"2"], [b"1", b"2", b"2"]),
        ([b"ab", b"cd"], [b"ad", b"cb"]),
        ([b"", b"ab"], [b"a", b"b"]),
    ],
)
def test_rows_of_the_same_number_and_size_are_told_apart(there, back):
    assert verdicts(dump({"a": there}), dump({"a": back})) == {"a": "differs"}


def test_a_sequence_that_came_back_with_another_value_is_named():
    setval = b"SELECT pg_catalog.setval('public.it''s', %d, true);\n"
    compared = compare(fingerprint(dump({}, setval % 42)), fingerprint(dump({"a": []}, setval % 1)))
    assert compared.sequences == ("public.it's",)
    assert not compared.good
    assert "sequence public.it's has another value" in str(compared)


def test_large_objects_are_compared_without_a_second_look():
    expected = fingerprint(dump({}, LARGE % b"SELECT pg_catalog.lowrite(0, '\\x01');"))
    found = fingerprint(dump({}, LARGE % b"SELECT pg_catalog.lowrite(0, '\\x02');"))
    assert not compare(expected, found).unsettled
    assert not compare(expected, found).good
    assert compare(expected, expected).good


def test_other_columns_are_another_table():
    expected = fingerprint(b"COPY t (a, b) FROM stdin;\n\\.\n")
    found = fingerprint(b"COPY t (b, a) FROM stdin;\n\\.\n")
    assert compare(expected, found).tables[0].verdict is TableVerdict.DIFFERS


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.binary(max_size=5).map(bytes.hex).map(str.encode), max_size=30),
    size=st.integers(1, 40),
    seed=st.integers(),
)
def test_any_order_in_any_blocks_is_the_same_rows(rows, size, seed):
    moved = rows.copy()
    random.Random(seed).shuffle(moved)
    there, back = dump({"a": rows}), dump({"a": moved})
    compared = compare(fingerprint(there), fingerprint(back))
    blocks = (back[at : at + size] for at in range(0, len(back), size))
    assert compared.settled([there], blocks, DumpReader).good
