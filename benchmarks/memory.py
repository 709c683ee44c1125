"""`python -m benchmarks.memory`: memory of a worker's child, at a small and at a large dump.

Runs two backups of MEMORY_MB (default "2000 6000") megabytes of dump through a real worker, and
reports how much more than an idle worker the child ever had.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backups.models import Plan

ROOT = Path(__file__).resolve().parent.parent
ROWS_A_MEGABYTE = 31.25  # of 32,000 bytes


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="backdrop-memory-") as folder:
        os.environ["VAR_DIR"] = folder
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backdrop_site.settings")
        import django

        django.setup()
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, check=True)
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "runworkers", "--workers", "1"], cwd=ROOT
        )
        try:
            _measure(Path(folder))
        finally:
            worker.terminate()
            worker.wait(60)


def _measure(folder: Path) -> None:
    from accounts.models import Team
    from backups.models import Database, Destination, Plan
    from backups.pipeline.postgres import binaries
    from backups.pipeline.postgres.scratch import ScratchPostgres

    team = Team.objects.create(name="Bench")
    kept = folder / "kept"
    kept.mkdir()
    destination = Destination.objects.create(
        team=team, name="disk", kind="local", options={"folder": str(kept)}
    )
    print("| dump | compression | child above idle worker | child at its peak |")
    print("| ---: | --- | ---: | ---: |")
    with ScratchPostgres(binaries.server_for(0), listen=True) as server:
        for megabytes in map(int, os.environ.get("MEMORY_MB", "2000 6000").split()):
            name = f"dump{megabytes}"
            server.createdb(name)
            server.execute(
                "CREATE TABLE notes AS SELECT n AS id, repeat(md5(n::text), 1000) AS body"
                f" FROM generate_series(1, {int(megabytes * ROWS_A_MEGABYTE)}) n",
                name,
            )
            address = server.server(name)
            database = Database.objects.create(
                team=team,
                name=name,
                host=address.host,
                port=address.port,
                dbname=name,
                username=address.user,
                password=server.password,
            )
            for compression in ("gzip", "zstd"):
                plan = Plan.objects.create(
                    team=team,
                    name=f"{name}-{compression}",
                    database=database,
                    destination=destination,
                    compression=compression,
                )
                idle, child, size = _run(plan)
                print(
                    f"| {size / 1e6:.0f} MB | {compression} | {(child - idle) / 2**20:.0f} MiB"
                    f" | {child / 2**20:.0f} MiB |",
                    flush=True,
                )


def _run(plan: Plan) -> tuple[int, int, int]:
    """Memory of the idle worker and of the child at its peak, and bytes of the dump."""
    from tasks.models import Attempt, Task

    backup = plan.start(by=None)
    child = idle = 0
    while not (row := Task.objects.get(pk=backup.task_id)).ended:
        attempt = Attempt.objects.filter(task=row, number=row.attempt).exclude(child="").first()
        if attempt:
            child = max(child, _peak(attempt.child))
            idle = idle or _peak(attempt.minder)
        time.sleep(0.02)
    if row.error:
        raise RuntimeError(row.error)
    backup.refresh_from_db()
    return idle, child, backup.raw_bytes


def _peak(identity: str) -> int:
    """VmHWM of a process in bytes; 0 when it has gone."""
    try:
        status = Path(f"/proc/{identity.split('.')[0]}/status").read_text()
    except OSError:
        return 0
    lines = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(next(lines, "VmHWM: 0 kB").split()[1]) * 1024


if __name__ == "__main__":
    main()
