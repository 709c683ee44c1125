"""The job `convert`."""

from __future__ import annotations

import json

import duckdb
import pytest

from tasks import registry
from tasks.errors import PermanentError
from tasks.jobs import convert
from tasks.jobs.tests.here import run
from tasks.uploads import options

FORMATS = ("csv", "tsv", "jsonl", "parquet")
ROWS = """
    SELECT i::INTEGER AS id, 'a "word", ' || chr(9) || i AS text, i / 4 AS price,
           DATE '2024-01-01' + i::INTEGER AS day,
           CASE WHEN i % 2 = 0 THEN 'even ' || i END AS half
      FROM range(3000) t(i)
"""


def read(path, kind: str) -> list[tuple]:
    reader = {"jsonl": "read_json", "parquet": "read_parquet"}.get(kind, "read_csv")
    more = ", format='newline_delimited'" if kind == "jsonl" else ""
    return duckdb.connect().execute(f"FROM {reader}('{path}'{more})").fetchall()


def made(tmp_path, kind: str, query: str = ROWS) -> bytes:
    path = tmp_path / f"made.{kind}"
    form = {"jsonl": "json", "parquet": "parquet", "tsv": "csv, DELIMITER '\t'"}.get(kind, kind)
    duckdb.connect().execute(f"COPY ({query}) TO '{path}' (FORMAT {form})")
    return path.read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_it_works(tmp_path, kind, target):
    """From each format into each, without losing a row or a value."""
    content = made(tmp_path, kind)
    result, context = run("convert", tmp_path, content, f"list.{kind}", to=target)
    assert (result["rows_in"], result["rows_out"], result["from"]) == (3000, 3000, kind)
    path = context.made[f"list.{target}"]
    assert result["result_size"] == path.stat().st_size
    assert [str(row) for row in read(path, target)] == [
        str(row) for row in read(tmp_path / f"made.{kind}", kind)
    ]


def test_types_are_kept_where_the_target_has_them(tmp_path):
    result, _ = run("convert", tmp_path, made(tmp_path, "csv"), "a.csv", to="parquet")
    found = {column["name"]: column["type"] for column in result["columns"]}
    assert found["id"] == "BIGINT"
    assert found["day"] == "DATE"


def test_text_stays_as_it_is_written(tmp_path):
    content = b"zip,price\n00123,1.50\n04,1e3\n"
    _, context = run("convert", tmp_path, content, "a.csv", to="tsv")
    assert context.made["a.tsv"].read_bytes() == b"zip\tprice\n00123\t1.50\n04\t1e3\n"


def test_without_a_header_there_is_none_in_the_result(tmp_path):
    _, context = run("convert", tmp_path, b"1,2\n3,4\n", "a.csv", to="tsv", header="no")
    assert context.made["a.tsv"].read_bytes() == b"1\t2\n3\t4\n"


def test_nested_values_become_json_in_text(tmp_path):
    content = b'{"a": [1, {"b": "c"}], "d": {"e": null}}\n'
    result, context = run("convert", tmp_path, content, "a.jsonl", to="csv")
    (row,) = read(context.made["a.csv"], "csv")
    assert json.loads(row[1]) == {"e": None}
    assert {warning["name"] for warning in result["warnings"]} == {"nested-as-json"}


def test_json_holds_no_figures_that_json_has_not(tmp_path):
    content = made(tmp_path, "parquet", "SELECT unnest(['nan'::DOUBLE, 'inf'::DOUBLE, 1.5]) AS a")
    _, context = run("convert", tmp_path, content, "a.parquet", to="jsonl")
    lines = context.made["a.jsonl"].read_text().splitlines()
    assert [json.loads(line)["a"] for line in lines] == [None, None, 1.5]


def test_rows_that_do_not_fit_fail_it_unless_they_may_be_left_out(tmp_path):
    content = b"a,b\n" + b"1,x\n" * 30_000 + b"2\n"
    with pytest.raises(PermanentError, match="Line 30002 has 1 fields"):
        run("convert", tmp_path, content, "a.csv", to="parquet")
    result, _ = run("convert", tmp_path, content, "a.csv", to="parquet", bad_rows="skip")
    told = (result["rows_in"], result["rows_out"], result["rows_left_out"])
    assert told == (30_001, 30_000, 1)


def test_a_result_out_of_all_proportion_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "LEAST_ROOM", 1 << 20)
    content = made(tmp_path, "parquet", "SELECT repeat('x', 1000) AS a FROM range(1000000)")
    assert len(content) < 20_000
    with pytest.raises(PermanentError, match=r"gives it room for|ran out of memory"):
        run("convert", tmp_path, content, "a.parquet", to="csv")


def test_a_lost_row_is_noticed(tmp_path, monkeypatch):
    from tasks.jobs.tables import reading

    monkeypatch.setattr(reading, "count", lambda *_: 1)
    with pytest.raises(PermanentError, match="2 rows were written, but the result has 1"):
        run("convert", tmp_path, b"a,b\n1,2\n3,4\n", "a.csv", to="jsonl")


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a.b.csv"])
def test_the_name_of_the_result_follows_the_file(tmp_path, name):
    _, context = run("convert", tmp_path, b"a,b\n1,2\n", name, to="parquet")
    assert next(iter(context.made)) in ("passwd.parquet", "table.parquet", "a.b.parquet")


@pytest.mark.parametrize("asked", [{}, {"to": "xlsx"}, {"to": "csv", "header": True}])
def test_options_are_held_to_the_schema(asked):
    assert options.faults(registry.get("convert"), asked)
    assert not options.faults(registry.get("convert"), {"to": "csv"})
