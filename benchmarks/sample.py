"""Fills the benchmark's database with rows like those of a shop: text, numbers, dates, JSON."""

from __future__ import annotations

from backups.pipeline.postgres.scratch import ScratchPostgres

_BYTES_A_ROW = 305  # of dump text, over the two big tables together

_TABLES = """
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer int NOT NULL, placed timestamptz NOT NULL,
    total numeric(12,2) NOT NULL, status text NOT NULL, note text, details jsonb NOT NULL);
CREATE TABLE events (
    id bigint PRIMARY KEY, at timestamptz NOT NULL, kind text NOT NULL, payload text NOT NULL);
"""
_ORDERS = """
INSERT INTO orders SELECT i, hashint8(i) & 1048575,
    '2024-01-01'::timestamptz + (i * 37 || ' seconds')::interval,
    ((hashint8(i * 7) & 16777215) / 100.0)::numeric(12,2),
    (ARRAY['new','paid','packed','sent','returned'])[1 + (hashint8(i * 3) & 3)],
    CASE WHEN i % 3 = 0 THEN NULL ELSE 'please ring twice, ' || md5(i::text) END,
    jsonb_build_object('lines', i % 9, 'sku', md5((i % 5000)::text), 'weight', i % 977)
FROM generate_series({first}, {last}) AS i;
"""
_EVENTS = """
INSERT INTO events SELECT i, '2024-01-01'::timestamptz + (i || ' seconds')::interval,
    (ARRAY['view','click','buy','leave'])[1 + (hashint8(i) & 3)],
    md5(i::text) || ' /shop/item/' || (i % 5000) || ' agent ' || (hashint8(i) & 63)
FROM generate_series({first}, {last}) AS i;
"""
_STEP = 250_000


def fill(server: ScratchPostgres, dbname: str, megabytes: int) -> None:
    """Make the database with about so many megabytes of dump text."""
    server.createdb(dbname)
    server.execute(_TABLES, dbname)
    rows = megabytes * 1_000_000 // _BYTES_A_ROW
    for first in range(1, rows + 1, _STEP):
        last = min(rows, first + _STEP - 1)
        server.execute(_ORDERS.format(first=first, last=last), dbname)
        server.execute(_EVENTS.format(first=first, last=last), dbname)
    server.execute("VACUUM ANALYZE", dbname)
