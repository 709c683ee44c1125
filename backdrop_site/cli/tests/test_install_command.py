"""The command `backdrop`: in a checkout, in the image, and on a machine that has nothing else."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from django.conf import settings

ROOT = settings.BASE_DIR
SHIPPED = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}


@pytest.fixture
def bootstrap(monkeypatch, tmp_path):
    """scripts/bootstrap.py, for a tree of its own."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    module = importlib.import_module("bootstrap")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    return module


@pytest.fixture
def tree(tmp_path) -> Path:
    """What the image holds of this checkout."""
    (tmp_path / "scripts").mkdir()
    for name in SHIPPED:
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "scripts" / "backdrop").unlink()
    shutil.copy(ROOT / "scripts" / "backdrop", tmp_path / "scripts")
    return tmp_path


def python_at(path: Path) -> None:
    """A program of that name which is this Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)


def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{environment.pop('PATH', '')}:/usr/bin:/bin".lstrip(":")
    return subprocess.run(
        words,
        env={"PATH": path, "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_works(bootstrap, tree):
    """As `make` links it into the environment of a checkout, wherever that is moved."""
    python_at(tree / ".venv" / "bin" / "python")
    bootstrap._link_command()
    bootstrap._link_command()
    command = tree / ".venv" / "bin" / "backdrop"
    assert not command.readlink().is_absolute()
    told = run(command, "--help")
    assert told.returncode == 0, told.stderr
    assert "Usage: backdrop" in told.stdout


def test_what_was_installed_under_that_name_stays(bootstrap, tree):
    python_at(tree / ".venv" / "bin" / "backdrop")
    bootstrap._link_command()
    assert not (tree / ".venv" / "bin" / "backdrop").is_symlink()


def test_the_image_has_it_on_its_path_for_the_python_that_is_there(tree, tmp_path):
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    [line] = (line for line in lines if line.endswith("/usr/local/bin/backdrop"))
    _, _, _, target, _ = line.split()
    assert "WORKDIR /srv/backdrop" in lines
    assert "COPY . ." in lines
    assert target == "/srv/backdrop/scripts/backdrop"
    assert os.access(ROOT / "scripts" / "backdrop", os.X_OK)
    python_at(tmp_path / "programs" / "python3")
    (tmp_path / "programs" / "backdrop").symlink_to(tree / "scripts" / "backdrop")
    told = run("backdrop", "--help", PATH=str(tmp_path / "programs"))
    assert told.returncode == 0, told.stderr
    assert "Usage: backdrop" in told.stdout


def test_a_machine_of_its_own_needs_the_few_packages_that_are_locked_for_it(tmp_path):
    """Installed as the README says, with nothing else of this environment in reach."""
    readme = (ROOT / "README.md").read_text()
    assert "--requirement requirements-cli.txt\npip install --no-deps .\n" in readme
    source, target, packages = (tmp_path / name for name in ("source", "target", "packages"))
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("backdrop_site", "backups"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(target), "."]
    built = subprocess.run([*pip, *offline], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    packages.mkdir()
    _link_packages(packages)

    alone = {"PYTHONPATH": f"{target}:{packages}"}
    command = (sys.executable, "-S", target / "bin" / "backdrop")
    told = run(*command, "--help", **alone)
    assert told.returncode == 0, told.stderr
    assert "Usage: backdrop" in told.stdout
    silent = run(*command, "--address", "127.0.0.1:1", "doctor", **alone)
    assert silent.returncode == 1, silent.stderr
    assert "nobody listens at 127.0.0.1:1" in silent.stdout
    assert run(sys.executable, "-S", "-c", "import django", **alone).returncode == 1


def _link_packages(folder: Path) -> None:
    """All that requirements-cli.txt names, as it is installed here, and no other package."""
    lock = (ROOT / "requirements-cli.txt").read_text()
    for name, rest in re.findall(r"^([\w.-]+)==\S+( ; [^\\]*)?", lock, re.MULTILINE):
        if "win32" in rest:
            continue
        found = distribution(name)
        for top in {Path(str(file)).parts[0] for file in found.files or ()} - {".."}:
            link = folder / top
            if top != "__pycache__" and not link.exists():
                link.symlink_to(found.locate_file(top))


def test_the_packages_for_it_are_locked_as_those_of_the_server():
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[\w.-]+==\S+", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements-cli.txt") <= pins("requirements.txt")
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert list(scripts) == ["backdrop"]
