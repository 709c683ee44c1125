"""A real PgBouncer for tests: it lends sessions by the transaction, on a free port of loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.ports import free_port

SESSIONS = 3


@contextmanager
def pgbouncer(folder: Path, database: Mapping[str, Any]) -> Iterator[str]:
    """In front of a database, told as Django's settings tell it; yields the address to use."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    assert program, "Debian's package pgbouncer is needed"
    port = free_port()
    login = f"user={database['USER']} password={database['PASSWORD']}"
    place = folder / "pgbouncer.ini"
    place.write_text(
        f"[databases]\n* = host={database['HOST']} port={database['PORT'] or 5432} {login}\n"
        "[pgbouncer]\nauth_type = any\npool_mode = transaction\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"default_pool_size = {SESSIONS}\nmax_client_conn = 100\n"
    )
    place.chmod(0o644)
    folder.chmod(0o755)
    not_root = ["--user", "nobody"] if os.geteuid() == 0 else []  # it refuses to be
    process = subprocess.Popen([program, "--quiet", *not_root, place.name], cwd=folder)
    try:
        _wait_for(port)
        yield f"postgres://any:any@127.0.0.1:{port}/{database['NAME']}"
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("PgBouncer does not answer.")
