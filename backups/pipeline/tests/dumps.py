"""What the tests of dumps and restores share: small dumps, and a look at what is there."""

from __future__ import annotations

import time

import psutil

from backups.pipeline.fingerprint import Fingerprint, Fingerprinted
from backups.pipeline.postgres import PostgresSink, PostgresSource
from backups.pipeline.postgres.dumptext import DumpReader
from backups.pipeline.postgres.scratch import ScratchPostgres

ROWS = "CREATE TABLE rows AS SELECT i, md5(i::text) FROM generate_series(1, 200000) i"
END = b"--\n-- PostgreSQL database dump complete\n--\n\n"
TABLE = b"CREATE TABLE public.t (a text);\n"
FILLER = b"COPY public.t (a) FROM stdin;\n" + b"some text\n" * 300_000 + b"\\.\n"


def read(source: PostgresSource) -> tuple[list[bytes], Fingerprint]:
    """The whole dump, and what it holds."""
    with source.open() as dump:
        stage = Fingerprinted(dump, DumpReader)
        blocks = [bytes(block) for block in stage]
    return blocks, stage.result()


def load(server: ScratchPostgres, dbname: str, *parts: bytes, **options) -> PostgresSink:
    sink = PostgresSink(server.server(), dbname=dbname, **options)
    sink.load(iter(parts))
    return sink


def never():
    """A stream that must not be read."""
    raise AssertionError("the stream was read")
    yield b""


def databases(server: ScratchPostgres) -> set[str]:
    with server.connect() as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def value(server: ScratchPostgres, dbname: str, query: str):
    with server.connect(dbname) as connection:
        return connection.execute(query).fetchone()[0]


def running(program: str) -> list[psutil.Process]:
    """Our own children of that name, those included that nobody has waited for."""
    return [each for each in psutil.Process().children() if each.name() == program]


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found
