"""Copies of PostgreSQL installations for an account that can't reach the original.

A wheel in a virtual environment below root's home can't be entered by anybody else, and
PostgreSQL's server refuses to run as root.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

from backups.pipeline.errors import PipelineError
from backups.pipeline.postgres.binaries import Installation
from backups.pipeline.unprivileged import Account, can_enter

_NOT_NEEDED = ("include", "doc", "man", "pkgconfig", "*.a")


def enterable(installation: Installation, account: Account | None, *, parent: Path) -> Installation:
    """The installation itself when `account` can run it, else a copy below `parent`, which is
    kept for next time."""
    if account is None or can_enter(installation.folder, account):
        return installation
    prefix = installation.folder.parent  # …/pginstall in a wheel
    kept = parent / f"backdrop-postgres-{installation.version}-{os.geteuid()}"
    if not _is_ours(kept):
        _copy(prefix.parent, kept)
    return replace(installation, folder=kept / prefix.parent.name / prefix.name / "bin")


def _is_ours(kept: Path) -> bool:
    """False where there is none yet. Another user's folder of that name is not to be run from."""
    try:
        found = kept.lstat()
    except FileNotFoundError:
        return False
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not ours or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PipelineError(f"{kept} is not this user's own folder.", remedy="Remove it.")
    return True


def _copy(package: Path, kept: Path) -> None:
    """Copy a package with its libraries beside it; it appears under its name when it is whole."""
    made = Path(tempfile.mkdtemp(prefix=f"{kept.name}-", dir=kept.parent))
    try:
        for name in (package.name, f"{package.name}.libs"):
            if (package.parent / name).is_dir():
                ignore = shutil.ignore_patterns(*_NOT_NEEDED)
                shutil.copytree(package.parent / name, made / name, ignore=ignore)
        for path in (made, *made.rglob("*")):
            path.chmod(0o755 if path.is_dir() else path.stat().st_mode & 0o755 | 0o444)
        made.rename(kept)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not _is_ours(kept):  # else somebody was faster
            raise
