"""Sample data for the demo: a web shop's database, the same every time, made by its own server."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from psycopg import sql

from backups.pipeline.postgres.scratch import ScratchPostgres

DBNAME = "shop"
OWNER = "shop"
PRODUCTS = 2000

_WORDS = {
    "first": "Ada Ben Cleo Dmitri Elif Femi Grace Hugo Ines Jun Kofi Lena Mateo Nour Olga Priya",
    "last": "Abel Berg Costa Diaz Ek Fofana Gupta Hart Ito Jansen Kaya Lund Moreau Novak Okoro",
    "city": "Accra Bergen Cork Dakar Essen Funchal Ghent Haifa Izmir Jaipur Kyoto Lyon Malmö Nice",
    "thing": "lamp kettle chair notebook scarf bicycle teapot blanket clock basket umbrella stool",
    "look": "red blue oak brass woollen folding quiet heavy small striped enamel paper",
    "status": "placed paid sent delivered delivered delivered delivered returned",
    "kind": "page_view page_view page_view search cart login payment",
    "word": "the parcel arrived on a rainy morning and all was whole except one small box which "
    "had been left open so we asked for another and it came within three days with a kind letter "
    "from people who pack them in a hall by the river where ships used to load grain for Lübeck",
}

_BEGIN = """
CREATE TYPE order_status AS ENUM ('placed', 'paid', 'sent', 'delivered', 'returned');
CREATE FUNCTION pick(words text[], i bigint, seed int) RETURNS text IMMUTABLE LANGUAGE sql
    AS $$ SELECT words[1 + (hashint8extended(i, seed) & 65535) % cardinality(words)] $$;
CREATE FUNCTION number(i bigint, seed int, below int) RETURNS int IMMUTABLE LANGUAGE sql
    AS $$ SELECT ((hashint8extended(i, seed) & 1073741823) % below)::int $$;
"""

_CUSTOMERS = """
CREATE TABLE customers (id bigint NOT NULL, name text NOT NULL, email text NOT NULL, city text,
    joined timestamptz NOT NULL);
INSERT INTO customers
    SELECT i, pick({first}, i, 1) || ' ' || pick({last}, i, 2),
        lower(pick({first}, i, 1)) || i || '@example.org', pick({city}, i, 3),
        timestamptz '2019-01-01 UTC' + number(i, 4, 190000000) * interval '1 second'
    FROM generate_series(1, {rows} / 10) i;
ALTER TABLE customers ADD PRIMARY KEY (id);
CREATE UNIQUE INDEX ON customers (email);
"""

_PRODUCTS = """
CREATE TABLE products (id bigint NOT NULL, name text NOT NULL, price numeric(8,2) NOT NULL,
    tags text[]);
INSERT INTO products
    SELECT i, pick({look}, i, 1) || ' ' || pick({thing}, i, 2) || ' no. ' || i,
        (199 + number(i, 3, 19800)) / 100.0, ARRAY[pick({look}, i, 1), pick({thing}, i, 2)]
    FROM generate_series(1, {products}) i;
ALTER TABLE products ADD PRIMARY KEY (id);
"""

_ORDERS = """
CREATE TABLE orders (id bigint NOT NULL, customer_id bigint NOT NULL, status order_status NOT NULL,
    placed timestamptz NOT NULL, remark text);
INSERT INTO orders
    SELECT i, 1 + number(i, 1, {rows} / 10), pick({status}, i, 2)::order_status,
        timestamptz '2022-01-01 UTC' + i * interval '150 seconds',
        CASE WHEN number(i, 3, 4) = 0 THEN concat_ws(' ', pick({word}, i, 4), pick({word}, i, 5),
            pick({word}, i, 6), pick({word}, i, 7), pick({word}, i, 8), pick({word}, i, 9)) END
    FROM generate_series(1, {rows}) i;
ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX ON orders (customer_id);
"""

_LINES = """
CREATE TABLE order_lines (order_id bigint NOT NULL, position int NOT NULL,
    product_id bigint NOT NULL, quantity int NOT NULL, price numeric(8,2) NOT NULL);
INSERT INTO order_lines
    SELECT 1 + i / 3, 1 + i % 3, 1 + number(i, 1, {products}), 1 + number(i, 2, 5),
        (199 + number(i, 3, 19800)) / 100.0
    FROM generate_series(0, {rows} * 3 - 1) i;
ALTER TABLE order_lines ADD PRIMARY KEY (order_id, position);
"""

_EVENTS = """
CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL,
    kind text NOT NULL, data jsonb NOT NULL);
INSERT INTO events (at, kind, data)
    SELECT timestamptz '2025-01-01 UTC' + i * interval '40 seconds', pick({kind}, i, 1),
        jsonb_build_object('session', md5((i / 12)::text), 'customer', number(i, 2, {rows} / 10),
            'path', '/' || pick({look}, i, 3) || '/' || pick({thing}, i, 4),
            'ms', number(i, 5, 900), 'agent', 'Browser/' || number(i, 6, 40) || '.0',
            'note', concat_ws(' ', pick({word}, i, 8), pick({word}, i, 9), pick({word}, i, 10)))
    FROM generate_series(1, {rows}) i;
ALTER TABLE events ADD PRIMARY KEY (id);
CREATE INDEX ON events (at);
"""

_END = """
ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers;
ALTER TABLE order_lines ADD FOREIGN KEY (order_id) REFERENCES orders;
ALTER TABLE order_lines ADD FOREIGN KEY (product_id) REFERENCES products;
CREATE VIEW revenue AS SELECT p.name, sum(l.quantity * l.price) AS total
    FROM order_lines l JOIN products p ON p.id = l.product_id GROUP BY p.name;
ANALYZE;
"""

ORDERS_PER_MEGABYTE = 3100
"""Measured: with so many orders (and what belongs to them) a dump has a megabyte of text."""


def fill(server: ScratchPostgres, password: str, *, megabytes: int) -> None:
    """Make the database `shop`, owned by a role that may log in with `password`."""
    with server.connect() as connection:
        role = "CREATE ROLE {} LOGIN CREATEDB PASSWORD {}"
        connection.execute(sql.SQL(role).format(sql.Identifier(OWNER), sql.Literal(password)))
        database = "CREATE DATABASE {} OWNER {}"
        connection.execute(sql.SQL(database).format(sql.Identifier(DBNAME), sql.Identifier(OWNER)))
    rows = max(100, megabytes * ORDERS_PER_MEGABYTE)
    _run(server, [_BEGIN], rows)
    _side_by_side(server, [[_CUSTOMERS, _PRODUCTS, _ORDERS, _LINES], [_EVENTS]], rows)
    _run(server, [_END], rows)


def _side_by_side(server: ScratchPostgres, lists: Sequence[Sequence[str]], rows: int) -> None:
    """One connection for each list, for a second core."""
    with ThreadPoolExecutor(len(lists)) as pool:
        for done in [pool.submit(_run, server, statements, rows) for statements in lists]:
            done.result()


def _run(server: ScratchPostgres, statements: Sequence[str], rows: int) -> None:
    arrays = {name: sql.Literal(words.split()) for name, words in _WORDS.items()}
    numbers = {"rows": sql.Literal(rows), "products": sql.Literal(PRODUCTS)}
    with server.connect(DBNAME) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER)))
        for statement in statements:
            # A table made and filled in one transaction needs no write-ahead log.
            with connection.transaction():
                connection.execute(sql.SQL(statement).format(**arrays, **numbers))
