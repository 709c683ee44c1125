"""The job `compress`."""

from __future__ import annotations

import gzip
import subprocess

import pytest

from tasks import registry
from tasks.jobs.tests.here import run
from tasks.uploads import options

CONTENT = b"a line that comes again\n" * 100_000


def test_it_works(tmp_path):
    result, context = run("compress", tmp_path, CONTENT, "list.txt")
    path = context.made["list.txt.zst"]
    assert subprocess.run(["zstd", "-dc", path], capture_output=True).stdout == CONTENT
    assert result["compressed"] == path.stat().st_size < len(CONTENT)
    assert context.told[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_gzip_is_read_by_gzip(tmp_path, content):
    _, context = run("compress", tmp_path, content, "a", format="gzip")
    assert gzip.decompress(context.made["a.gz"].read_bytes()) == content


def test_a_higher_level_is_smaller(tmp_path):
    text = b"".join(f"{number * number} is a square\n".encode() for number in range(50_000))
    sizes = []
    for level in (1, 19):
        folder = tmp_path / str(level)
        folder.mkdir()
        result, _ = run("compress", folder, text, level=level)
        sizes.append(result["compressed"])
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("asked", [{"format": "rar"}, {"level": 0}, {"level": "x"}, {"more": 1}])
def test_options_are_held_to_the_schema(asked):
    assert options.faults(registry.get("compress"), asked)
    assert not options.faults(registry.get("compress"), {"format": "gzip"})
