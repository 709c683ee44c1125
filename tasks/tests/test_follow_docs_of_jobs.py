"""The package that docs/jobs-on-files.md shows, installed and run as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

from django.conf import settings

from tasks import registry

PAGE = (settings.BASE_DIR / "docs" / "jobs-on-files.md").read_text()
RUN = """
import json, sys
from pathlib import Path

import django

django.setup()
from tasks.jobs.tests import here

result, context = here.run(sys.argv[1], Path(sys.argv[2]), b"To be or not to be", "play.txt")
print(json.dumps([result, {name: path.read_text() for name, path in context.made.items()}]))
"""


def shown(language: str) -> str:
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return block


def install(folder) -> None:
    project = tomllib.loads(shown("toml"))["project"]
    (folder / "backdrop_words.py").write_text(shown("python"))
    info = folder / f"backdrop_words-{project['version']}.dist-info"
    info.mkdir()
    about = f"Name: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{about}")
    points = project["entry-points"]["backdrop.jobs"]
    lines = [f"{name} = {place}\n" for name, place in points.items()]
    (info / "entry_points.txt").write_text("[backdrop.jobs]\n" + "".join(lines))


def test_it_works(tmp_path):
    install(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", RUN, "words", str(tmp_path)],
        cwd=settings.BASE_DIR,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{settings.BASE_DIR}:{tmp_path}",
            "DJANGO_SETTINGS_MODULE": "backdrop_site.settings",
            "VAR_DIR": str(tmp_path / "var"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result, made = json.loads(done.stdout)
    assert result == {"words": 6, "different": 4}
    assert made == {"words.tsv": "to\t2\nbe\t2\nor\t1\nnot\t1\n"}


def test_it_is_as_short_as_it_says():
    assert len([line for line in shown("python").splitlines() if line.strip()]) <= 16


def test_the_page_names_each_job_on_files():
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    ours = {name for name in registry.names() if registry.get(name).intake is not None}
    assert named == {name for name in ours if not name.startswith("toy")}


def test_each_option_has_a_title_and_each_job_its_limits():
    for name in registry.names():
        job = registry.get(name)
        if job.intake is None or name.startswith("toy"):
            continue
        assert job.memory_bytes, name
        assert job.deadline_seconds, name
        assert job.stall_seconds, name
        for option in job.options.get("properties", {}).values():
            assert option["title"], name
