"""The peers' own environment, apart from Backdrop's; made when it is first needed."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".bench-venv"
BIN = FOLDER / "bin"
WANTED = ROOT / "benchmarks" / "requirements.txt"


def prepare() -> None:
    """Install what `requirements.txt` names, unless just that was installed before."""
    stamp = FOLDER / "installed.txt"
    if stamp.exists() and stamp.read_bytes() == WANTED.read_bytes():
        return
    venv.create(FOLDER, with_pip=True)
    subprocess.run([str(BIN / "pip"), "install", "-q", "-r", str(WANTED)], check=True)
    stamp.write_bytes(WANTED.read_bytes())


def versions(packages: Iterable[str]) -> dict[str, str]:
    script = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
    names = list(packages)
    command = [str(BIN / "python"), "-c", script, *names]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(zip(names, told.split(), strict=True))
