"""Makes `.venv` and installs locked requirements into it, when they changed. Standard library only.

python3 scripts/bootstrap.py requirements.txt [more …]
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".installed.json"
OLDEST = (3, 11)


def main(locks: list[str]) -> None:
    os.umask(0o022)  # a stricter one would lock out the users that servers run under
    if sys.version_info < OLDEST:
        sys.exit(f"Backdrop needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    fcntl.flock(os.open(ROOT, os.O_RDONLY), fcntl.LOCK_EX)  # two makes must not build one folder
    if not _usable():
        _make()
    for name in locks:
        _install(name)
    _link_command()


def _usable() -> bool:
    """A `.venv` that a copied tree or an upgraded Python left behind does not answer."""
    probe = [str(PYTHON), "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))"]
    return PYTHON.exists() and subprocess.run(probe, capture_output=True).returncode == 0


def _make() -> None:
    if not os.access(ROOT, os.W_OK):
        sys.exit(f"{ROOT} can't be written to by you; make a clone of your own.")
    print(f"Making {VENV.name} with Python {sys.version.split()[0]} …", flush=True)
    if not _can_make_venv():
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            sys.exit(
                f"This Python has no venv module: ask root to install {package} and try again."
            )
        subprocess.run(
            [sys.executable, str(ROOT / "scripts/system.py"), "apt", package], check=True
        )
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)])
    if made.returncode:
        sys.exit(f"{VENV} could not be made; see above.")


def _can_make_venv() -> bool:
    probe = [sys.executable, "-c", "import venv, ensurepip"]
    return subprocess.run(probe, capture_output=True).returncode == 0


def _install(name: str) -> None:
    digest = hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
    installed = json.loads(STAMP.read_text()) if STAMP.exists() else {}
    if installed.get(name) == digest:
        return
    if not os.access(VENV, os.W_OK):
        sys.exit(f"{VENV} belongs to somebody else; remove it or make a clone of your own.")
    print(f"Installing {name} …", flush=True)
    command = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    result = subprocess.run([*command, "--require-hashes", "-r", name], cwd=ROOT)
    if result.returncode:
        sys.exit(f"{name} could not be installed; see above.")
    STAMP.write_text(json.dumps({**installed, name: digest}))


def _link_command() -> None:
    """`.venv/bin/backdrop`, unless something of that name was installed."""
    link = VENV / "bin" / "backdrop"
    if not os.path.lexists(link) and os.access(link.parent, os.W_OK):
        link.symlink_to(Path("..", "..", "scripts", "backdrop"))


if __name__ == "__main__":
    main(sys.argv[1:])
