"""A MariaDB database of everything that dumps and those who read them stumble over."""

from __future__ import annotations

AWKWARD = r"""
SET SESSION sql_mode = '';
ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE SEQUENCE counter START WITH 42 INCREMENT BY 7;
DO NEXTVAL(counter);

CREATE TABLE everything (
    id int AUTO_INCREMENT PRIMARY KEY,
    name text,
    raw longblob,
    bits bit(11),
    amount decimal(12, 2),
    ratio double,
    day date,
    at datetime(6),
    stamp timestamp NULL,
    span time(3),
    mood enum('sad', 'it''s ok'),
    tags set('a', 'b'),
    doc json,
    place point,
    hidden int INVISIBLE DEFAULT 7,
    kept int GENERATED ALWAYS AS (char_length(name)) STORED,
    shown int GENERATED ALWAYS AS (hidden + 1) VIRTUAL
);
INSERT INTO everything (name, raw, bits, amount, ratio, day, at, stamp, span, mood, tags, doc,
                        place) VALUES
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('', '', 0, 0, 0, '0000-00-00', '0000-00-00', '1971-01-01 00:00:01', '-838:59:59', '', '',
     '{}', POINT(1, -2.5)),
    ('it''s \\ "quoted" `back`', x'00ff0a0d1a225c27', b'10101010101', -1.5, 1e308, '2024-02-30',
     '9999-12-31 23:59:59.999999', '2024-03-31 02:30:00', '00:00:00.001', 'it''s ok', 'a,b',
     '[1, "),("]', NULL),
    ('a),(b', 'a),(b', 1, 1, 1, '2024-01-01', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('line\nline\r\n);\nINSERT INTO `many` VALUES (1,\'x\');\n-- Dump completed\nDELIMITER ;\0\Z\t',
     '\\', 2, 2, 0.1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('Zoë ☃ 😀 日本', x'', 3, 9999999999.99, -1e-300, NULL, NULL, NULL, NULL, 'sad', 'b', NULL,
     NULL),
    ('/*M!999999\\- enable the sandbox mode */', '\'', 3, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL),
    ('\\! touch /tmp/pwned', 'x;\ny', 3, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO everything (id, name) VALUES (-1, 'below'), (2000000000, 'far');
UPDATE everything SET hidden = 8 WHERE id = 2;
CREATE TABLE zero (id int AUTO_INCREMENT PRIMARY KEY);
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
INSERT INTO zero VALUES (0), (1);
SET SESSION sql_mode = '';

CREATE TABLE many (id int PRIMARY KEY, filler text, KEY (filler(10)));
INSERT INTO many SELECT seq, repeat(md5(seq), (seq * 7919) % 40) FROM seq_1_to_10000;
DELETE FROM many WHERE id % 3 = 0;
CREATE TABLE huge (value longtext, raw longblob);
INSERT INTO huge SELECT repeat('text '' \\ \n),(', 300000), repeat(x'00275c0a', 500000);
CREATE TABLE no_key (a int, b varchar(10));
INSERT INTO no_key SELECT seq % 5, 'same' FROM seq_1_to_1000;

CREATE TABLE `Odd ``Table``; "x" (a) VALUES
-- y` (`Col ``1``, x` text, `b)` int, `SELECT` text);
INSERT INTO `Odd ``Table``; "x" (a) VALUES
-- y` VALUES ('one', 1, '\\');
CREATE TABLE nothing (id int) COMMENT 'it''s
INSERT INTO `many` VALUES
(1);
-- Dump completed
';
CREATE TABLE old_letters (name varchar(20)) CHARACTER SET utf8mb3;
INSERT INTO old_letters VALUES ('Zoë ☃');
CREATE TABLE older_letters (name varchar(20)) CHARACTER SET latin1;
INSERT INTO older_letters VALUES ('Zoë');
CREATE TABLE unsafe (id int PRIMARY KEY, word varchar(20), FULLTEXT (word)) ENGINE = MyISAM;
INSERT INTO unsafe VALUES (2, 'two'), (1, 'one');
CREATE TABLE unsafer (id int) ENGINE = Aria;
INSERT INTO unsafer VALUES (1);
CREATE TABLE numbered (id int PRIMARY KEY DEFAULT (NEXT VALUE FOR counter), a int CHECK (a > 0));
INSERT INTO numbered (a) VALUES (1);
CREATE TABLE parted (id int, at date) PARTITION BY RANGE (year(at)) (
    PARTITION old VALUES LESS THAN (2024), PARTITION new VALUES LESS THAN MAXVALUE);
INSERT INTO parted SELECT seq, date '2023-12-01' + INTERVAL seq DAY FROM seq_1_to_60;
CREATE TABLE parents (id int PRIMARY KEY, other int);
CREATE TABLE children (id int PRIMARY KEY, parent int,
    FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE);
INSERT INTO parents VALUES (1, 1);
INSERT INTO children VALUES (1, 1);
ALTER TABLE parents ADD FOREIGN KEY (other) REFERENCES children (id);
CREATE TABLE versioned (id int PRIMARY KEY, a int) WITH SYSTEM VERSIONING;
INSERT INTO versioned VALUES (1, 1);
CREATE TABLE tallied (n int);

CREATE USER IF NOT EXISTS 'gone away'@'%';
GRANT ALL ON *.* TO 'gone away'@'%';
CREATE VIEW zz_first AS SELECT id, 'it''s;
INSERT INTO `many` VALUES
' AS text FROM everything;
CREATE DEFINER = 'gone away'@'%' VIEW aa_second AS SELECT count(*) AS n FROM zz_first;
DELIMITER ;;
CREATE FUNCTION looks_like_data() RETURNS text DETERMINISTIC
BEGIN
    -- it's
    RETURN '
INSERT INTO `many` VALUES
(1,\'not a row\');

-- Dump completed on 2024-01-01  0:00:00
CREATE TABLE `phantom` (
';
END ;;
CREATE PROCEDURE adds(n int) BEGIN INSERT INTO tallied VALUES (n); END ;;
CREATE TRIGGER counted AFTER INSERT ON parents FOR EACH ROW BEGIN
    INSERT INTO tallied VALUES (NEW.id); -- it's
END ;;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DISABLE
    DO INSERT INTO tallied VALUES (0) ;;
DELIMITER ;
"""

TABLES = {
    "`everything`": 10,
    "`zero`": 2,
    "`many`": 6667,
    "`huge`": 1,
    "`no_key`": 1000,
    '`Odd ``Table``; "x" (a) VALUES\n-- y`': 1,
    "`nothing`": 0,
    "`old_letters`": 1,
    "`older_letters`": 1,
    "`unsafe`": 2,
    "`unsafer`": 1,
    "`numbered`": 1,
    "`parted`": 60,
    "`parents`": 1,
    "`children`": 1,
    "`versioned`": 1,
    "`tallied`": 0,
}
"""By table its rows, as the dump has them."""
