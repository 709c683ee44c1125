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

from backups.pipeline.postgres.scratch import ScratchPostgres  # noqa: E402

# Where queries, locks and transactions are ours; the rest says nothing about this database.
TESTS = (
    "accounts",
    "tasks/tests/test_cancel_task.py",
    "tasks/tests/test_cost_little.py",
    "tasks/tests/test_count_statements.py",
    "tasks/tests/test_hand_out_tokens.py",
    "tasks/tests/test_lose_database_live.py",
    "tasks/tests/test_move_many_tasks.py",
    "tasks/tests/test_move_task.py",
    "tasks/tests/test_pause_queue.py",
    "tasks/tests/test_plan_claim.py",
    "tasks/tests/test_poll_live.py",
    "tasks/tests/test_prepare_statements.py",
    "tasks/tests/test_push_task.py",
    "tasks/tests/test_read_workers_page.py",
    "tasks/tests/test_remove_old_tasks.py",
    "tasks/tests/test_retry_task.py",
    "tasks/tests/test_run_job.py",
    "tasks/tests/test_send_canaries.py",
    "tasks/tests/test_set_limits.py",
    "tasks/tests/test_share_chores.py",
    "tasks/tests/test_share_process.py",
    "tasks/tests/test_survive_death.py",
    "tasks/tests/test_take_turns.py",
    "tasks/tests/test_tell_metrics.py",
    "tasks/tests/test_tell_queues_api.py",
    "tasks/tests/test_wake_workers.py",
    "tasks/tests/test_watch_task_live.py",
    "tasks/tests/test_tell_places.py",
    "tasks/tests/test_lose_answers.py",
    "tasks/tests/test_claim_along.py",
    "tasks/tests/test_drain_worker.py",
    "tasks/uploads/tests/test_limit_uploads.py",
    "tasks/uploads/tests/test_resolve_limits.py",
    "tests/test_tell_outages.py",
    "backups/rpc/tests/test_call_service.py",
    "backups/rpc/tests/test_lose_database.py",
    "backups/tests/test_fire_schedules.py",
    "backups/tests/test_judge_health.py",
    "backups/tests/test_miss_moments.py",
    "backups/tests/test_run_scheduler.py::"
    "test_another_daemon_goes_on_where_one_is_killed_between_claim_and_call",
    "backups/tests/test_send_notifications.py",
    "backups/tests/test_start_api.py",
    "backups/tests/test_start_scheduled_runs.py",
    "backups/tests/test_tell_metrics.py",
    # All of it but a year's worth of calculation, which no database changes.
    "--deselect=backups/tests/test_fire_schedules.py::"
    "test_a_year_in_three_time_zones_fires_every_day_once",
)

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
PARTS = (
    ("-m", "not alone", "-n", "3", "--dist", "loadfile", *TESTS),
    ("-m", "alone", *TESTS),
)
"""As in `tests/run.py`."""


def main(arguments: list[str]) -> int:
    with (
        ScratchPostgres(listen=True, settings={"max_connections": "200"}) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        print(f"With PostgreSQL {server.installation.version} as Backdrop's own database:")  # noqa: T201
        names = ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
        keys = {name: secrets.token_urlsafe(48) for name in names}
        environment = {**os.environ, **keys, "DB_URL": server.dsn(), "VAR_DIR": folder}
        statuses = [
            subprocess.run([*PYTEST, *part], cwd=ROOT, env=environment).returncode
            for part in ([arguments] if arguments else PARTS)
        ]
        return max(statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
