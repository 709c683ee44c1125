"""Memory does not grow with the database, neither when it is dumped nor when it is restored."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests import servers

# One value, compressed in the table, copied often: a large dump of a small database.
LARGE = """
    CREATE TABLE one AS SELECT string_agg(md5(i::text), ' ') || repeat(' filler text', 80000) AS a
      FROM generate_series(1, 1000) i;
    CREATE TABLE many AS SELECT a FROM one, generate_series(1, {rows});
"""
MOST_GROWTH_KIB = 10 * 1024

PROGRAM = """
import os, re, sys
from backups.pipeline.postgres.dumptext import DumpReader
from backups.pipeline.compression import COMPRESSIONS
from backups.pipeline.fingerprint import Fingerprinted
from backups.pipeline.hashing import Hashed
from backups.pipeline.postgres import PostgresServer, PostgresSink, PostgresSource

_, what, port, dbname, compression = sys.argv
server = PostgresServer(
    host="127.0.0.1", port=int(port), dbname=dbname, password=os.environ["SECRET"]
)
codec = COMPRESSIONS[compression]
with PostgresSource(server).open() as dump:
    raw = Hashed(dump)
    stored = codec.compress(Fingerprinted(raw, DumpReader))
    if what == "dump":
        for _ in Hashed(stored):
            pass
    else:
        sink = PostgresSink(server, dbname=f"{dbname}_again", single_transaction=True)
        sink.load(Hashed(codec.decompress(stored)))
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(raw.size, peak[1])
"""


@pytest.fixture(scope="module")
def sizes(postgres15):
    """Two databases: 60 MB and 180 MB of dump."""
    with (
        servers.new_database(postgres15, LARGE.format(rows=60)) as small,
        servers.new_database(postgres15, LARGE.format(rows=180)) as large,
    ):
        yield small, large


def run(what: str, server, dbname: str, compression: str) -> tuple[int, int]:
    """Bytes of dump, and the most KiB that the process had."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, what, str(server.port), dbname, compression],
        env={**os.environ, "SECRET": server.password},
        capture_output=True,
        text=True,
        check=True,
    )
    size, peak = done.stdout.split()
    return int(size), int(peak)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_it_works(postgres15, sizes, compression):
    small, small_peak = run("dump", postgres15, sizes[0], compression)
    large, large_peak = run("dump", postgres15, sizes[1], compression)
    assert large > 2.9 * small > 170 * 10**6
    assert large_peak - small_peak < MOST_GROWTH_KIB
    assert large_peak < 120 * 1024


def test_a_restore_stays_small_too(postgres15, sizes):
    peaks = []
    for dbname in sizes:
        peaks.append(run("restore", postgres15, dbname, "zstd")[1])
        postgres15.dropdb(f"{dbname}_again")
    assert peaks[1] - peaks[0] < MOST_GROWTH_KIB
    assert peaks[1] < 120 * 1024
