"""The Makefile and the scripts behind it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT = settings.BASE_DIR
TARGETS = {"help", "demo", "up", "test", "check", "fmt", "proto", "bench", "lock", "clean", "chaos"}


def make(*words: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"):
        environment.pop(name, None)  # these tests may themselves run below make
    return subprocess.run(
        ["make", *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
    )


def test_it_works():
    run = make("help")
    assert run.returncode == 0, run.stderr
    listed = dict(re.findall(r"^  (\w+) +(\S.*)$", run.stdout, re.MULTILINE))
    assert set(listed) == TARGETS


def test_make_alone_is_help():
    assert make().stdout == make("help").stdout


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_each_target_can_be_made(target):
    run = make("--dry-run", target)
    assert run.returncode == 0, run.stderr


def test_once_is_passed_on_to_the_demo():
    assert "demo --die-with-parent --once" in make("--dry-run", "demo", "ONCE=1").stdout
    assert "--once" not in make("--dry-run", "demo", "ONCE=0").stdout
    assert "--once" not in make("--dry-run", "demo").stdout


def test_ci_runs_what_people_run():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    code = [line for line in lines if line and not line.startswith("#")]
    assert code == ['cd "$(dirname "$0")/.." && exec make test']


def test_without_a_new_enough_python_it_says_so_in_one_line(tmp_path):
    run = make("up", PYTHON="")
    assert run.returncode != 0
    assert run.stdout == "Backdrop needs Python 3.11 or newer, and none is on the PATH.\n"


def test_what_only_root_can_install_is_named_in_one_line(tmp_path):
    """The script alone, as somebody who is not root, with nothing on the PATH."""
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT / "scripts")!r})
import system
os.geteuid = lambda: 1000
system.POSTGRES_FOLDERS = ()
system.GROUPS = {{"test": (system.Program("a-program", "package-b"),
                           system.Program("another", "package-a"))}}
system.need(["test"])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "Only root can install what is missing here: apt-get install package-a package-b"
    ]


def test_a_python_that_can_not_make_environments_is_told_with_the_package_to_install():
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT / "scripts")!r})
import bootstrap
os.geteuid = lambda: 1000
bootstrap._can_make_venv = lambda: False
bootstrap._make()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        f"This Python has no venv module: ask root to install {package} and try again."
    ]


def test_nothing_is_installed_again_while_the_lock_is_the_same(tmp_path):
    """In a copy whose `.venv` has no network to install from."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "bootstrap.py", tmp_path / "scripts")
    lock = tmp_path / "requirements.txt"
    lock.write_text("# nothing\n")
    command = [sys.executable, str(tmp_path / "scripts" / "bootstrap.py"), lock.name]

    def bootstrap() -> str:
        offline = {**os.environ, "PIP_NO_INDEX": "1"}
        run = subprocess.run(command, env=offline, capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        return run.stdout

    first = bootstrap()
    assert "Making .venv" in first
    assert "Installing requirements.txt" in first
    assert bootstrap() == ""
    lock.write_text("# nothing still\n")
    assert bootstrap() == "Installing requirements.txt …\n"
    (tmp_path / ".venv" / "bin" / "python").unlink()
    assert "Making .venv" in bootstrap()
