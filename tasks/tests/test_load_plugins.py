"""Jobs that other packages bring by an entry point."""

from __future__ import annotations

import subprocess
import sys

from django.conf import settings

MODULE = """
from tasks.registry import Intake, Job, register


def run(context):
    with context.input() as given, context.artifact("upper.txt") as path:
        path.write_bytes(given.path.read_bytes().upper())
    return {"bytes": given.size}


register(Job(name="shout", run=run, title="Shout", intake=Intake(types=("text/*",))))
"""


def names(folder, **packages: str) -> tuple[set[str], str]:
    """The jobs of a Backdrop beside which these packages are installed, and what it logs."""
    for name, text in packages.items():
        (folder / f"{name}.py").write_text(text)
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[backdrop.jobs]\n{name} = {name}\n")
    code = "import django; django.setup()\nfrom tasks import registry; print(*registry.names())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{settings.BASE_DIR}:{folder}",
            "DJANGO_SETTINGS_MODULE": "backdrop_site.settings",
            "VAR_DIR": str(folder / "var"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split()), done.stderr


def test_it_works(tmp_path):
    known, _ = names(tmp_path, shouting=MODULE)
    assert {"shout", "inspect", "backup"} <= known


def test_one_that_fails_keeps_nobody_from_starting(tmp_path):
    known, told = names(tmp_path, broken="import nothing_of_that_name", shouting=MODULE)
    assert {"shout", "inspect"} <= known
    assert "broken" in told
    assert "nothing_of_that_name" in told


def test_a_name_that_is_taken_is_told(tmp_path):
    known, told = names(tmp_path, thief=MODULE.replace('"shout"', '"inspect"'))
    assert "inspect" in known
    assert "taken twice" in told
