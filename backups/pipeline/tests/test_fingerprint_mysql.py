from __future__ import annotations

import itertools
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.pipeline.comparison import TableVerdict, compare
from backups.pipeline.fingerprint import Fingerprint, Fingerprinted
from backups.pipeline.mysql.dumptext import DumpReader

END = b"\n-- Dump completed on 2024-01-01  0:00:00\n"
CREATE = b"CREATE TABLE `t` (\n  `a` int(11) DEFAULT NULL\n);\n"
ROWS = [
    rb"(1,'a\'b\\','),(',NULL,0x00FF)",
    rb"(2,'line\nline\r);\nINSERT INTO `x` VALUES (1)','',-1.5,'')",
    rb"(3,'\\','\'',NULL,_binary 'x\0')",
    rb"(4,'(','),(\'),(',1e30,'\\\\')",
    "(5,'😀;','ünï',0,'')".encode(),
]


def fingerprint(*blocks: bytes) -> Fingerprint:
    stage = Fingerprinted(blocks, DumpReader)
    list(stage)
    return stage.result()


def by_lines(*statements: list[bytes]) -> bytes:
    """As MariaDB writes it: each row on a line of its own."""
    inserts = [b"INSERT INTO `t` (`a`) VALUES " + b",\n".join(rows) + b";\n" for rows in statements]
    return CREATE + b"".join(inserts) + END


def in_one_line(*statements: list[bytes]) -> bytes:
    """As MySQL writes it."""
    inserts = [b"INSERT INTO `t` (`a`) VALUES " + b",".join(rows) + b";\n" for rows in statements]
    return CREATE + b"".join(inserts) + END


def test_it_works():
    found = fingerprint(by_lines(ROWS))
    assert found.complete
    assert {name: (table.rows, table.columns) for name, table in found.tables.items()} == {
        "`t`": (5, ("`a`",))
    }


@pytest.mark.parametrize("written", [by_lines, in_one_line])
def test_where_statements_are_parted_does_not_matter(written):
    expected = fingerprint(by_lines(ROWS)).tables
    for at in range(1, len(ROWS)):
        assert fingerprint(written(ROWS[:at], ROWS[at:])).tables == expected
    assert fingerprint(written(*([row] for row in ROWS))).tables == expected


@pytest.mark.parametrize("written", [by_lines, in_one_line])
def test_where_blocks_end_does_not_matter(written):
    text = written(ROWS[:3], ROWS[3:])
    expected = fingerprint(text)
    for at in range(1, len(text)):
        assert fingerprint(text[:at], text[at:]) == expected
    assert fingerprint(*(text[at : at + 1] for at in range(len(text)))) == expected


TEXTS = st.text(alphabet="a'\\),(;\n\0`\"ü", max_size=12)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(TEXTS, min_size=1, max_size=3), min_size=1, max_size=6),
    st.integers(1, 40),
    st.randoms(use_true_random=False),
)
def test_any_text_is_read_alike_however_it_is_written(rows, size, chance):
    def escaped(text: str) -> str:
        for raw, written in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\0", "\\0")):
            text = text.replace(raw, written)
        return f"'{text}'"

    tuples = [f"({','.join(map(escaped, row))})".encode() for row in rows]
    at = chance.randint(0, len(tuples) - 1)
    statements = [part for part in (tuples[:at], tuples[at:]) if part]
    expected = fingerprint(by_lines(tuples))
    assert expected.tables["`t`"].rows == len(tuples)
    for text in (by_lines(*statements), in_one_line(*statements)):
        blocks = [text[i : i + size] for i in range(0, len(text), size)]
        assert fingerprint(*blocks).tables == expected.tables


def test_a_table_without_rows_is_one():
    assert fingerprint(CREATE, END).tables["`t`"].rows == 0


def test_code_is_no_data():
    code = (
        b"DELIMITER ;;\nCREATE PROCEDURE `p`()\nBEGIN\n-- it's\nSELECT '\n"
        b"INSERT INTO `t` VALUES (1);\nCREATE TABLE `u` (\n-- Dump completed\n'; END ;;\n"
        b"DELIMITER ;\n"
    )
    found = fingerprint(code, by_lines(ROWS))
    assert list(found.tables) == ["`t`"]
    assert found.tables["`t`"].rows == len(ROWS)
    assert not fingerprint(code).complete


def test_empty_code_ends():
    assert fingerprint(b"DELIMITER ;;\nDELIMITER ;\n", by_lines(ROWS)).tables["`t`"].rows == 5


def test_sequences_have_their_values():
    found = fingerprint(b"DO SETVAL(`s`, 1005, 0);\nSELECT SETVAL(`r`, -5, 1);\n", END)
    assert found.sequences == {"`s`": "1005, 0", "`r`": "-5, 1"}


@pytest.mark.parametrize("written", [by_lines, in_one_line])
def test_rows_in_another_order_are_told_from_other_rows(written):
    there, moved = written(ROWS), written(ROWS[::-1])
    swapped = [ROWS[0].replace(b"(1", b"(2"), ROWS[1].replace(b"(2", b"(1"), *ROWS[2:]]
    for text, verdict in (
        (moved, TableVerdict.REORDERED),
        (written(swapped), TableVerdict.DIFFERS),
    ):
        compared = compare(fingerprint(there), fingerprint(text))
        assert compared.unsettled
        settled = compared.settled([there], [text], DumpReader)
        assert [each.verdict for each in settled.tables] == [verdict]


@pytest.mark.parametrize("cut", [1, 10, len(END), len(END) + 10])
def test_a_dump_that_was_cut_is_not_complete(cut):
    text = by_lines(ROWS)
    assert not fingerprint(
        text[: -(cut + len(b"-- Dump completed on 2024-01-01  0:00:00\n"))]
    ).complete


@pytest.mark.parametrize("row", [b"'" + b"x" * 1000 + b"'", rb"'\\\''", b"1"])
def test_rows_of_any_size_take_no_memory(row):
    """A statement of one line, of a hundred megabytes in all."""
    tuples = b",".join([b"(" + b",".join([row] * 100) + b")"] * 20)
    blocks = [CREATE, b"INSERT INTO `t` VALUES (0)"]
    one = b"," + tuples
    times = min(100_000_000 // len(one), 400)
    huge = [b"," + b"('" + b"y" * 1_000_000] + [b"z" * 1_000_000] * 20 + [b"')"]
    parts = itertools.chain(blocks, itertools.repeat(one, times), huge, [b";\n", END])
    stage = Fingerprinted(parts, DumpReader)
    tracemalloc.start()
    try:
        for _ in stage:
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    found = stage.result()
    assert found.complete
    assert found.tables["`t`"].rows == 2 + 20 * times
    assert peak < 16_000_000


def test_shuffled_rows_settle_as_reordered():
    rows = [b"(%d,'%s')" % (n, b"x" * (n % 7)) for n in range(2000)]
    shuffled = rows[:]
    random.Random(5).shuffle(shuffled)
    there, back = by_lines(rows), in_one_line(shuffled[:700], shuffled[700:])
    compared = compare(fingerprint(there), fingerprint(back))
    assert compared.settled([there], [back], DumpReader).good
