"""A database of everything that dumps and those who read them stumble over."""

from __future__ import annotations

AWKWARD = r"""
CREATE ROLE awkward_owner;
CREATE SCHEMA "Odd ""Schema""; x";
CREATE EXTENSION hstore;

CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
CREATE TABLE everything (
    id serial PRIMARY KEY,
    name text,
    raw bytea,
    amount numeric(12, 2),
    ratio double precision,
    at timestamptz,
    feeling mood,
    tags text[],
    doc jsonb,
    pairs hstore,
    twice bigint GENERATED ALWAYS AS (id * 2) STORED
);
INSERT INTO everything (name, raw, amount, ratio, at, feeling, tags, doc, pairs) VALUES
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('', '', 0, 'NaN', '-infinity', 'sad', '{}', '{}', ''),
    (E'\\.', E'\\\\x00ff', -1.5, 0.1, '2024-03-31 02:30:00+02', 'it''s ok',
     ARRAY[E'a\\b', NULL, '"'], '{"a": "\\.\n"}', 'a=>NULL'),
    (E'line\nline\r\n\\.\nCOPY public.no (a) FROM stdin;\n\ttab\b\f\v',
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('Zoë ☃ 😀 日本', E'\\x0a5c2e0a', 1e9, 1e308, 'epoch', NULL, NULL, '[1, 2]', NULL),
    (E'\\restrict nothing', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (E'\restrict nothing', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (E'SET transaction_timeout = 0;', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE many (id int PRIMARY KEY, filler text);
INSERT INTO many SELECT i, repeat(md5(i::text), (i * 7919) % 40) FROM generate_series(1, 10000) i;
-- Rows that moved: a restore outside one transaction may put them elsewhere.
DELETE FROM many WHERE id % 3 = 0;
UPDATE many SET filler = filler || 'x' WHERE id % 5 = 0;

CREATE TABLE huge AS SELECT string_agg(md5(i::text), E'\n\\.\n') AS value
    FROM generate_series(1, 80000) i;

CREATE TABLE "Odd ""Schema""; x"."Tab
le (a) FROM stdin;" ("Col ""1"", x" text, "b)" int, "SELECT" text);
INSERT INTO "Odd ""Schema""; x"."Tab
le (a) FROM stdin;" VALUES ('one', 1, E'\\');
CREATE TABLE nothing (id int);
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE only_generated (a int GENERATED ALWAYS AS IDENTITY);
INSERT INTO only_generated DEFAULT VALUES;
ALTER TABLE nothing OWNER TO awkward_owner;
GRANT SELECT ON many TO awkward_owner;

CREATE TABLE parted (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE parted_new PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
INSERT INTO parted SELECT i, date '2023-12-01' + i FROM generate_series(1, 60) i;

CREATE VIEW seen AS SELECT id, 'it''s; -- $$' AS text FROM everything;
CREATE MATERIALIZED VIEW kept AS SELECT count(*) FROM many;
CREATE FUNCTION looks_like_data() RETURNS text LANGUAGE plpgsql AS $f$
BEGIN
    RETURN $$
COPY public.many (id, filler) FROM stdin;
1	not a row
\.

-- PostgreSQL database dump complete
$$ || E'\'';
END $f$;
COMMENT ON TABLE many IS 'it''s
COPY public.many (id, filler) FROM stdin;
\.
-- PostgreSQL database dump complete
';
CREATE FUNCTION notice() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER noticed BEFORE INSERT ON everything FOR EACH ROW EXECUTE FUNCTION notice();
CREATE SEQUENCE counter;
SELECT setval('counter', 42, false);

SELECT lo_from_bytea(0, decode(repeat('5c2e0a', 20000), 'hex'));
SELECT lo_from_bytea(0, '');
"""

TABLES = {
    "public.everything": 8,
    "public.many": 6667,
    "public.huge": 1,
    '"Odd ""Schema""; x"."Tab\nle (a) FROM stdin;"': 1,
    "public.nothing": 0,
    "public.no_columns": 1,
    "public.only_generated": 1,
    "public.parted_old": 30,
    "public.parted_new": 30,
    "pg_catalog.pg_largeobject": 2,
}
"""By table its rows, as the dump has them."""
