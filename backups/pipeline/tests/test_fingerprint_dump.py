from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.pipeline.fingerprint import LARGE_OBJECTS, Fingerprint, Fingerprinted, Table
from backups.pipeline.postgres.dumptext import DumpReader

MARKER = b"--\n-- PostgreSQL database dump complete\n--\n\n"


def fingerprint(*blocks: bytes) -> Fingerprint:
    stage = Fingerprinted(blocks, DumpReader)
    assert b"".join(stage) == b"".join(blocks)
    return stage.result()


def table(data: bytes, *columns: str) -> Table:
    return Table(
        rows=data.count(b"\n"),
        bytes=len(data),
        digest=hashlib.sha256(data).hexdigest(),
        columns=columns,
    )


def test_it_works():
    found = fingerprint(
        b"--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.t (a integer, b text);\n\n"
        b"COPY public.t (a, b) FROM stdin;\n1\tone\n2\t\\N\n\\.\n\n"
        b"SELECT pg_catalog.setval('public.t_a_seq', 42, true);\n" + MARKER
    )
    assert found.tables == {"public.t": table(b"1\tone\n2\t\\N\n", "a", "b")}
    assert found.sequences == {"public.t_a_seq": "42, true"}
    assert found.complete


def test_an_empty_table_is_there_with_no_rows():
    found = fingerprint(b"COPY public.t (a) FROM stdin;\n\\.\n", MARKER)
    assert found.tables == {"public.t": table(b"", "a")}
    assert found.complete


def test_a_table_without_columns_has_rows():
    found = fingerprint(b"COPY public.t  FROM stdin;\n\n\n\\.\n")
    assert found.tables == {"public.t": table(b"\n\n")}


def test_names_are_kept_as_they_are_written_in_sql():
    found = fingerprint(
        b'COPY "My ""Schema""; x"."T\n(a) FROM stdin;" ("A, b", "c)d", e) FROM stdin;\n\\.\n'
    )
    assert found.tables == {
        '"My ""Schema""; x"."T\n(a) FROM stdin;"': table(b"", '"A, b"', '"c)d"', "e")
    }


@pytest.mark.parametrize(
    "data",
    [b"\\\\.\n", b"x\\.\n", b"\\.x\n", b" \\.\n", b"\\\\.\n\\\\\n", b"COPY x (a) FROM stdin;\n"],
)
def test_a_line_that_only_resembles_the_end_of_data_is_data(data):
    assert fingerprint(b"COPY t (a) FROM stdin;\n" + data + b"\\.\n").tables == {
        "t": table(data, "a")
    }


@pytest.mark.parametrize(
    "text",
    [
        b"CREATE FUNCTION f() AS $$\nCOPY no (a) FROM stdin;\n1\n\\.\n$$;\n",
        b"CREATE FUNCTION f() AS $_$ $$ \nCOPY no (a) FROM stdin;\n1\n\\.\n $_$;\n",
        b"COMMENT ON TABLE t IS 'it''s\nCOPY no (a) FROM stdin;\n1\n\\.\n';\n",
        b"SELECT E'it\\'s ''\nCOPY no (a) FROM stdin;\n1\n\\.\n' || 'x';\n",
        b"SELECT E'\\\\', type'x', 'y\\';\n",
        b'CREATE TABLE "a\nCOPY no (a) FROM stdin;\n" (b int);\n',
        b"/* it's\nCOPY no (a) FROM stdin;\n\\.\n */\n",
        b"-- Name: it's; Type: TABLE\n",
        b'-- "quoted $$ name\n',
        b"SELECT COPY no (a) FROM stdin;\n",
    ],
)
def test_text_that_only_looks_like_data_is_not_data(text):
    rest = b"COPY yes (a) FROM stdin;\n7\n\\.\n" + MARKER
    for split in range(len(text) + 30):
        whole = text + rest
        found = fingerprint(whole[:split], whole[split:])
        assert found.tables == {"yes": table(b"7\n", "a")}
        assert found.complete


def test_large_objects_count_as_one_table_whatever_their_order():
    def large(oid: int, *data: bytes) -> bytes:
        writes = b"".join(b"SELECT pg_catalog.lowrite(0, '\\x%s');\n" % each for each in data)
        opened = b"SELECT pg_catalog.lo_open('%d', 131072);\n" % oid
        return opened + writes + b"SELECT pg_catalog.lo_close(0);\n\n"

    one, two = large(1, b"00ff", b"aa"), large(2)
    there = fingerprint(b"BEGIN;\n\n", one, two, b"COMMIT;\n", MARKER)
    back = fingerprint(b"BEGIN;\n\n", two, one, b"COMMIT;\n", MARKER)
    other = fingerprint(b"BEGIN;\n\n", large(1, b"00fe", b"aa"), two, b"COMMIT;\n", MARKER)
    assert there.complete
    assert there.tables[LARGE_OBJECTS].rows == 2
    assert there.tables == back.tables
    assert there.tables != other.tables


@pytest.mark.parametrize(
    "dump",
    [
        b"",
        b"CREATE TABLE t ();\n",
        MARKER[:-30],
        b"COPY t (a) FROM stdin;\n-- PostgreSQL database dump complete\n",
        b"COPY t (a) FROM stdin;\n1\n\\.\nSELECT '" + MARKER,
        MARKER + b"COPY t (a) FROM stdin;\n1\n",
    ],
)
def test_a_dump_cut_short_is_not_complete(dump):
    assert not fingerprint(dump).complete


def test_the_last_line_of_a_patched_release_may_follow_the_end_marker():
    assert fingerprint(b"\\restrict k'\n", MARKER, b"\\unrestrict k'\n\n").complete


def test_the_schema_digest_leaves_out_comments_data_and_random_keys():
    def dump(key: bytes, version: bytes, row: bytes, default: bytes = b"1") -> bytes:
        return (
            b"-- Dumped by pg_dump version %s\n\\restrict %s\nCREATE TABLE t (a int DEFAULT %s);\n"
            b"COPY t (a) FROM stdin;\n%s\n\\.\n" % (version, key, default, row)
        )

    one = fingerprint(dump(b"abc", b"15", b"1")).schema
    assert one == fingerprint(dump(b"xyz", b"18", b"2")).schema
    assert one != fingerprint(dump(b"abc", b"15", b"1", default=b"2")).schema


def test_the_result_is_not_to_be_had_before_the_end():
    stage = Fingerprinted([MARKER, MARKER], DumpReader)
    next(iter(stage))
    with pytest.raises(RuntimeError):
        stage.result()


# Any dump, put together from parts of which it is known what they are ----------------------------

nasty = st.sampled_from(
    [
        b"\\.\n",
        b"\n\\.\n",
        b"COPY t (a) FROM stdin;\n",
        b"\n",
        b"--",
        b"/*",
        b"$$",
        b"$_$",
        b"x",
        b"\\",
    ]
)
nasty_text = st.lists(nasty, max_size=6).map(b"".join)
name = st.text(st.sampled_from('ab"\n;(), é'), min_size=1, max_size=8).map(
    lambda text: ('"' + text.replace('"', '""') + '"').encode()
) | st.sampled_from([b"t", b"orders_2024"])
cell = st.sampled_from([b"\\N", b"1", b"\\\\.", b"\\\\", b"\\t", b"", b"x\\.", b"long " * 40])
row = st.lists(cell, min_size=1, max_size=3).map(b"\t".join).filter(lambda line: line != b"\\.")


def single(text: bytes) -> bytes:
    return b"'" + text + b"'"


def escaped(text: bytes) -> bytes:
    return b"E'" + text.replace(b"\\", b"\\\\") + b"\\''''"


def dollar(text: bytes) -> bytes:
    return b"$_x$" + text.replace(b"$", b"S") + b"$_x$"


statement = st.builds(
    lambda quote, text: b"SELECT " + quote(text) + b";\n",
    st.sampled_from([single, escaped, dollar]),
    nasty_text,
)
comment = nasty_text.map(lambda text: b"-- " + text.replace(b"\n", b" ") + b"'\n")
data = st.tuples(name, name, st.lists(row, max_size=5))


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(statement | comment | data, max_size=8),
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=20),
)
def test_any_dump_in_any_blocks_is_read_as_it_was_written(parts, sizes):
    text = b""
    expected: dict[str, bytes] = {}
    for part in parts:
        if isinstance(part, bytes):
            text += part
            continue
        table_name, column, rows = part
        lines = b"".join(line + b"\n" for line in rows)
        text += b"COPY %s (%s) FROM stdin;\n%s\\.\n\n" % (table_name, column, lines)
        key = table_name.decode()
        expected[key] = expected.get(key, b"") + lines
    text += MARKER
    blocks, at = [], 0
    while at < len(text):
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(text[at : at + size])
        at += size

    found = fingerprint(*blocks)

    assert {key: (each.rows, each.bytes, each.digest) for key, each in found.tables.items()} == {
        key: (lines.count(b"\n"), len(lines), hashlib.sha256(lines).hexdigest())
        for key, lines in expected.items()
    }
    assert found.complete
