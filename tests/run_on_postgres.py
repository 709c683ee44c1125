"""Runs the tests that use Backdrop's own database once more, with PostgreSQL as that database.

python tests/run_on_postgres.py [pytest arguments]
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from backups.pipeline.scratch import ScratchPostgres  # noqa: E402

# Where queries, locks and transactions are ours; the rest says nothing about this database.
TESTS = (
    "accounts",
    "tasks/tests/test_cancel_task.py",
    "tasks/tests/test_hand_out_tokens.py",
    "tasks/tests/test_lose_database_live.py",
    "tasks/tests/test_move_task.py",
    "tasks/tests/test_poll_live.py",
    "tasks/tests/test_push_task.py",
    "tasks/tests/test_retry_task.py",
    "tasks/tests/test_run_job.py",
    "tasks/tests/test_survive_death.py",
    "tasks/tests/test_take_turns.py",
    "tasks/tests/test_watch_task_live.py",
    "backups/tests/test_judge_health.py",
    "backups/tests/test_start_api.py",
)


def main(arguments: list[str]) -> int:
    with (
        ScratchPostgres(listen=True, settings={"max_connections": "200"}) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        print(f"With PostgreSQL {server.installation.version} as Backdrop's own database:")  # noqa: T201
        names = ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
        keys = {name: secrets.token_urlsafe(48) for name in names}
        environment = {**os.environ, **keys, "DB_URL": server.dsn(), "VAR_DIR": folder}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(arguments or TESTS)]
        return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
