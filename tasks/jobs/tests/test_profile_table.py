"""The job `profile`."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import duckdb
import pytest
from django.conf import settings

from tasks import registry
from tasks.errors import PermanentError
from tasks.jobs.tables import text
from tasks.jobs.tests.here import run
from tasks.uploads import options

CSV = b"id,name,price,day\n1,ann,1.5,2024-01-01\n2,bob,,2024-01-02\n3,,2.5,2024-01-03\n"


def profile(tmp_path, content: bytes | str, filename: str = "a.csv", **asked) -> dict:
    if isinstance(content, str):
        content = content.encode()
    return run("profile", tmp_path, content, filename, **asked)[0]


def parquet(tmp_path, query: str) -> bytes:
    path = tmp_path / "made.parquet"
    duckdb.connect().execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


def wide(columns: int) -> bytes:
    return b",".join(b"c%d" % number for number in range(columns)) + b"\n"


def types(found: dict) -> dict[str, str]:
    return {column["name"]: column["type"] for column in found["columns"]}


def names_of_warnings(found: dict) -> list[str]:
    return [warning["name"] for warning in found["warnings"]]


def test_it_works(tmp_path):
    found = profile(tmp_path, CSV)
    assert found["rows"] == 3
    assert found["dialect"]["delimiter"] == ","
    identity, name, price, day = found["columns"]
    assert identity == {
        "name": "id",
        "type": "BIGINT",
        "nulls": 0,
        "distinct": 3,
        "min": 1,
        "max": 3,
        "mean": 2.0,
        "quantiles": identity["quantiles"],
    }
    assert identity["quantiles"]["50%"] == 2.0
    assert (name["nulls"], name["lengths"]) == (1, {"min": 3, "max": 3, "mean": 3.0})
    assert (price["type"], price["nulls"], price["max"]) == ("DOUBLE", 1, 2.5)
    assert (day["type"], day["min"]) == ("DATE", "2024-01-01")
    assert found["sample"][0] == ["1", "ann", "1.5", "2024-01-01"]
    assert found["warnings"] == []


def test_progress_counts_the_bytes_read(tmp_path):
    _, context = run("profile", tmp_path, CSV, "a.csv")
    assert context.told[0] == (0, 2 * len(CSV))
    assert context.told[-1] == (2 * len(CSV), 2 * len(CSV))


@pytest.mark.parametrize(
    ("content", "filename", "format_"),
    [
        (b"a\tb\n1\tx\n2\ty\n", "a.tsv", "tsv"),
        (b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n', "a.jsonl", "jsonl"),
        (b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n', "", "jsonl"),
        (b'[{"a": 1, "b": "x"},\n {"a": 2, "b": "y"}]', "a.json", "jsonl"),
        (b"a;b\n1;x\n2;y\n", "", "csv"),
        (b"\xef\xbb\xbfa,b\r\n1,x\r\n2,y\r\n", "a.csv", "csv"),
        ("a,b\n1,x\n2,y\n".encode("utf-16"), "a.csv", "csv"),
    ],
)
def test_each_format_is_read(tmp_path, content, filename, format_):
    found = profile(tmp_path, content, filename)
    assert (found["format"], found["rows"]) == (format_, 2)
    assert types(found) == {"a": "BIGINT", "b": "VARCHAR"}


def test_parquet_is_read_by_its_own_types(tmp_path):
    content = parquet(tmp_path, "SELECT i::SMALLINT AS a, [i] AS b FROM range(5) t(i)")
    found, context = run("profile", tmp_path, content, "a.parquet")
    assert types(found) == {"a": "SMALLINT", "b": "BIGINT[]"}
    assert context.told[-1] == (5, 5)


def test_what_was_guessed_wrong_can_be_overruled(tmp_path):
    found = profile(tmp_path, "1,2\n'3,3',4\n", delimiter=",", quote="'", header="no")
    assert found["rows"] == 2
    assert found["sample"][1][0] == "3,3"


def test_values_stay_as_they_are_written_where_asked(tmp_path):
    assert types(profile(tmp_path, CSV, types="text"))["id"] == "VARCHAR"


def test_leading_zeros_make_no_number(tmp_path):
    assert types(profile(tmp_path, "zip,n\n00123,1\n00456,2\n"))["zip"] == "VARCHAR"


def test_rows_that_do_not_fit_are_left_out_and_told(tmp_path):
    rows = "".join(f"{number},x\n" for number in range(30_000))
    found = profile(tmp_path, f"a,b\n{rows}1\n2,3,4\nword,x\n")
    assert (found["rows"], found["rows_left_out"]) == (30_000, 3)
    assert names_of_warnings(found) == ["rows-left-out"]
    assert "line 30002" in found["warnings"][0]["text"]


@pytest.mark.parametrize(
    ("last", "told"),
    [("1", "30002 has 1 fields instead of 2"), ("word,x", "30002 holds a value that is no")],
)
def test_they_fail_it_where_asked(tmp_path, last, told):
    rows = "".join(f"{number},x\n" for number in range(30_000))
    with pytest.raises(PermanentError, match=told):
        profile(tmp_path, f"a,b\n{rows}{last}\n", bad_rows="fail")


def test_another_encoding_is_guessed_and_told(tmp_path):
    rows = "".join(f"{number},ä\n" for number in range(3000))
    found = profile(tmp_path, ("a,b\n" + rows).encode("latin-1"))
    assert names_of_warnings(found) == ["encoding-guessed"]
    assert found["columns"][1]["max"] == "ä"


def test_an_encoding_that_is_named_wrong_is_a_clear_failure(tmp_path):
    with pytest.raises(PermanentError, match="encoding"):
        profile(tmp_path, "a,b\n1,ä\n".encode("latin-1"), encoding="utf-8", bad_rows="fail")


def test_keys_that_come_late_are_columns_too(tmp_path):
    content = b'{"a": 1}\n' * 30_000 + b'{"a": "x", "b": {"c": [1]}}\n'
    found = profile(tmp_path, content, "a.jsonl")
    assert types(found) == {"a": "JSON", "b": "STRUCT(c BIGINT[])"}


def test_figures_that_are_no_numbers_are_told_as_text(tmp_path):
    content = parquet(tmp_path, "SELECT unnest(['nan'::DOUBLE, 'inf'::DOUBLE, 1.0]) AS a")
    found = profile(tmp_path, content, "a.parquet")
    json.dumps(found, allow_nan=False)
    assert found["columns"][0]["mean"] == 1.0


def test_long_values_are_cut_and_wide_samples_shortened(tmp_path):
    head = ",".join(f"c{number}" for number in range(500))
    row = ",".join(["x" * 300] * 500)
    found = profile(tmp_path, f"{head}\n" + f"{row}\n" * 20, sample=20)
    assert len(found["sample"]) == 4
    assert len(found["sample"][0][0]) == len(found["columns"][0]["max"]) == 100


@pytest.mark.parametrize(
    ("content", "filename", "told"),
    [
        (b"", "a.csv", "empty"),
        (b"a,b\n1," + b"x" * (2 << 20), "a.csv", "Line 2 is longer"),
        (b"x" * (2 << 20), "a.csv", "Line 1 is longer"),
        (b"a,b\n1,\x00\n", "a.csv", "Line 2 holds a NUL"),
        (wide(1500) + b"1," * 1499 + b"1\n", "a.csv", "1500 columns"),
        (wide(90_000), "a.csv", "memory|columns"),
        (b'{"a": 1}\n{"a":\n', "a.jsonl", "Line 3, or the one before it, is not JSON"),
        (b'{"a": ' + b"[" * 300_000 + b"]" * 300_000 + b"}\n", "a.jsonl", "nested too deeply"),
        (b"".join(b'{"a%d": 1}\n' % n for n in range(5000)), "a.jsonl", "columns|memory"),
        ('{"a": "ä"}\n'.encode("latin-1"), "a.jsonl", "has to be UTF-8"),
        (b"5\n[1]\n", "a.jsonl", "JSON"),
        (b"PAR1" + b"x" * 1000 + b"PAR1", "a.parquet", "footer"),
        (b"PAR1" + b"x" * 1000, "a.parquet", "footer"),
    ],
)
def test_hostile_files_are_clear_failures(tmp_path, content, filename, told):
    with pytest.raises(PermanentError, match=told) as failed:
        profile(tmp_path, content, filename)
    assert str(tmp_path) not in str(failed.value)


def test_a_parquet_file_that_is_damaged_inside_is_a_clear_failure(tmp_path):
    content = bytearray(parquet(tmp_path, "SELECT md5(i::VARCHAR) AS a FROM range(50000) t(i)"))
    content[2000:-2000] = bytes(len(content) - 4000)
    with pytest.raises(PermanentError, match="Parquet"):
        profile(tmp_path, bytes(content), "a.parquet")


def test_a_line_that_parts_between_blocks_is_measured_whole():
    with pytest.raises(PermanentError, match="Line 2 is longer"):
        text.look([b"a\nb", b"x" * text.LONGEST_LINE, b"\n"])
    halves = [b"a\nb" + b"x" * (text.LONGEST_LINE // 2), b"x" * 10 + b"\nc"]
    assert text.look(halves).lines == 2


def test_no_other_file_is_read(tmp_path):
    (tmp_path / "other.csv").write_text("secret\n1\n")
    with pytest.raises(PermanentError):
        profile(tmp_path, CSV, format="parquet")
    from tasks.jobs.tables import reading

    with (
        reading._connected(tmp_path / "a.csv", None) as connection,
        pytest.raises(duckdb.PermissionException),
    ):
        connection.execute(f"FROM read_csv('{tmp_path}/other.csv')")


@pytest.mark.parametrize("asked", [{"delimiter": ";;"}, {"sample": 1000}, {"format": "xlsx"}])
def test_options_are_held_to_the_schema(asked):
    assert options.faults(registry.get("profile"), asked)


MEASURED = """
import resource, sys, django
django.setup()
from pathlib import Path
from tasks import memory, registry
from tasks.jobs.tests import here

content, folder = Path(sys.argv[1]), Path(sys.argv[2])
job = registry.get("profile")
memory.limit(job.memory_bytes)
context = here.Here(folder, content, "a.csv", {"options": {}})
rows = job.run(context)["rows"]
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_stays_the_same_however_large_the_file_is(tmp_path):
    """Measured in a process of its own, under the limit that the job sets itself."""
    used = []
    for rows in (50_000, 1_500_000):
        path = tmp_path / f"{rows}.csv"
        line = "a,b,c\n" + "".join(f"{n},word {n % 977},{n / 7:.3f}\n" for n in range(50_000))
        with path.open("w") as file:
            for _ in range(rows // 50_000):
                file.write(line)
                line = line.removeprefix("a,b,c\n")
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, str(path), str(tmp_path)],
            cwd=settings.BASE_DIR,
            env={
                "PATH": "/usr/bin:/bin",
                "DJANGO_SETTINGS_MODULE": "backdrop_site.settings",
                "VAR_DIR": str(tmp_path / "var"),
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found = re.fullmatch(r"(\d+) (\d+)\n", done.stdout)
        assert found, done.stdout
        assert int(found[1]) == rows
        used.append(int(found[2]))
    assert used[1] - used[0] < 150
