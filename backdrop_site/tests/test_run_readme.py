"""The README's commands, run as they stand; its words, held against the code."""

from __future__ import annotations

import re
import subprocess

import pytest
from django.conf import settings

from backdrop_site.tests.platforms import PASSWORD, platform
from tests import servers

ROOT = settings.BASE_DIR
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DATA = "CREATE TABLE things AS SELECT i, md5(i::text) AS name FROM generate_series(1, 5000) i;"
PAGES_OF_WIKI = """
    CREATE TABLE pages AS SELECT seq AS id, md5(seq) AS title FROM seq_1_to_700;
    CREATE VIEW titles AS SELECT title FROM pages;
"""


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def wiki(mariadb):
    """A MariaDB with a user as the README's `sql` blocks make it; what MySQL's programs call it."""
    names = ("wiki", "wiki_restored", "wiki_by_hand")
    mariadb.createdb("wiki")
    for script in [PAGES_OF_WIKI, *blocks(README, "sql")]:
        servers.run_script(mariadb, "wiki", script)
    yield {
        "MYSQL_TCP_PORT": str(mariadb.port),
        "MYSQL_DATABASE": "wiki",
        "MYSQL_USER": "backdrop",
        "MYSQL_PWD": "a password",
    }
    for name in names:
        mariadb.dropdb(name)
    servers.run_script(mariadb, "mysql", "DROP USER backdrop@'%';")


@pytest.mark.timeout(200)
def test_it_works(tmp_path, postgres15, mariadb, wiki):
    """Every `sh` block, in order, in one shell that stops at the first failure."""
    script = "\n".join(["set -euo pipefail", *blocks(README, "sh")])
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    with servers.new_database(postgres15, DATA) as dbname, platform(tmp_path / "var") as up:
        place = postgres15.server(dbname)
        run = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={
                "PATH": f"{postgres15.installation.folder}:/usr/local/bin:/usr/bin:/bin",
                "HOME": str(tmp_path),
                "BACKDROP": up.url,
                "BACKDROP_ADDRESS": up.grpc,
                "METRICS": up.metrics,
                "ADMIN_PASSWORD": PASSWORD,
                "BACKUP_DIR": str(tmp_path / "var" / "backups"),
                "PGHOST": place.host,
                "PGPORT": str(place.port),
                "PGDATABASE": dbname,
                "PGUSER": place.user,
                "PGPASSWORD": str(place.password),
                **wiki,
            },
            capture_output=True,
            text=True,
            timeout=160,
        )
        try:
            assert run.returncode == 0, f"{run.stdout}\n{run.stderr}\n{up.run.text()}"
            assert "\nproven\n" in run.stdout
            assert "\nDaemon Response: backup completed\n" in run.stdout
            assert "At 02:00" in run.stdout
            assert "compress completed" in run.stdout
            assert 'backup_success_total{database="mine"} 2.0' in run.stdout
            assert "OK\n" in run.stdout
            for copy in ("mine_restored", "mine_by_hand"):
                with postgres15.connect(copy) as connection:
                    rows = connection.execute("SELECT count(*) FROM things").fetchone()
                assert rows == (5000,), copy
            assert run.stdout.count("proven") == 3
            for copy in ("wiki_restored", "wiki_by_hand"):
                with mariadb.connect(copy).cursor() as cursor:
                    cursor.execute("SELECT count(*) FROM titles")
                    assert cursor.fetchone() == (700,), copy
        finally:
            for copy in ("mine_restored", "mine_by_hand"):
                postgres15.dropdb(copy)


def test_every_make_target_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"\bmake ([a-z]+)\b(?=`|$| [A-Z]+=)", page.read_text(), re.M):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


def test_every_link_to_a_file_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_setting_that_is_named_exists():
    table = README.split("## Settings")[1].split("##")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)}
    assert named
    assert named <= settings.KNOWN_NAMES


def test_every_management_command_that_is_named_exists():
    from django.core.management import get_commands

    for page in PAGES:
        for name in re.findall(r"manage\.py (\w+)", page.read_text()):
            assert name in get_commands(), f"{page.name}: {name}"
