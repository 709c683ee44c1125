"""Finds, and as root installs, the programs that are no Python packages. Standard library only.

python3 scripts/system.py need GROUP …    install what is missing, or name it in one line
python3 scripts/system.py apt PACKAGE …   install these packages
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

POSTGRES_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")


@dataclass(frozen=True, slots=True)
class Program:
    """A program that tests use, and the Debian package it comes in."""

    name: str
    package: str
    folders: tuple[str, ...] = ()
    """Patterns of folders outside PATH where packages put it."""

    def found(self) -> bool:
        if shutil.which(self.name):
            return True
        root = Path("/")
        return any(any(root.glob(f"{pattern.lstrip('/')}/{self.name}")) for pattern in self.folders)


GROUPS = {
    "test": (
        Program("postgres", "postgresql", POSTGRES_FOLDERS),
        Program("pg_dump", "postgresql-client", POSTGRES_FOLDERS),
        Program("mariadbd", "mariadb-server-core", ("/usr/sbin", "/usr/local/sbin")),
        Program("mariadb-dump", "mariadb-client"),
        Program("redis-server", "redis-server"),
        Program("pgbouncer", "pgbouncer", ("/usr/sbin", "/usr/local/sbin")),
        Program("chromium", "chromium"),
        Program("curl", "curl"),
        Program("wget", "wget"),
        Program("zstd", "zstd"),
        Program("openssl", "openssl"),
        Program("git", "git"),
        Program("prometheus", "prometheus"),
        Program("promtool", "prometheus"),
        Program("node", "nodejs"),
        Program("npm", "npm"),
    ),
    "bench": (
        Program("postgres", "postgresql", POSTGRES_FOLDERS),
        Program("pg_dump", "postgresql-client", POSTGRES_FOLDERS),
        Program("redis-server", "redis-server"),
        Program("zstd", "zstd"),
        Program("wrk", "wrk"),
        Program("node", "nodejs"),
        Program("npm", "npm"),
    ),
}


def need(groups: list[str]) -> None:
    missing = sorted({p.package for group in groups for p in GROUPS[group] if not p.found()})
    if not missing:
        return
    if os.geteuid() != 0:
        sys.exit(f"Only root can install what is missing here: apt-get install {' '.join(missing)}")
    if not shutil.which("apt-get"):
        sys.exit(f"Please install, by this system's own means: {' '.join(missing)}")
    install(missing)


def install(packages: list[str]) -> None:
    print(f"Installing {' '.join(packages)} …", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    quiet = ["apt-get", "--quiet=2", "-o", "DPkg::Lock::Timeout=120"]
    with _no_services():
        subprocess.run([*quiet, "update"], env=environment, stdout=subprocess.DEVNULL)
        result = subprocess.run(
            [*quiet, "install", "--yes", "--no-install-recommends", *packages],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    if result.returncode:
        sys.exit(f"apt-get could not install {' '.join(packages)}; see above.")


@contextmanager
def _no_services() -> Iterator[None]:
    """Tests start their own servers: packages must not start theirs, nor leave one enabled."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


if __name__ == "__main__":
    verb, *names = sys.argv[1:]
    {"need": need, "apt": install}[verb](names)
