"""Kills everything that Backdrop consists of, under load, and judges whether its promises hold.

python -m tests.chaos [--db sqlite|postgres] [--seconds N] [--tasks N] [--seed N] [--only FAULT]

Without --db once on each. Everything happens on loopback and in a temporary folder, and ends by
itself. The seed of a run is printed; the same seed brings the same order of faults and the same
mix of tasks.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent
DATABASES = ("sqlite", "postgres")


def main() -> int:
    chosen = arguments()
    if chosen.list:
        return list_faults()
    if chosen.db is None:
        words = [word for word in sys.argv[1:] if word]
        commands = [[sys.executable, "-m", "tests.chaos", *words, "--db", db] for db in DATABASES]
        return max(subprocess.run(command, cwd=ROOT).returncode for command in commands)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    with temporary_folder() as folder, ExitStack() as stack:
        return run(chosen, folder, stack)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--db", choices=DATABASES)
    parser.add_argument("--seconds", type=float, default=240, help="no fault begins later")
    parser.add_argument("--tasks", type=int, default=500, help="at the least")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--only", action="append", default=[], metavar="FAULT")
    parser.add_argument("--cancels", type=int, default=20, help="of each kind (default: 20)")
    parser.add_argument("--lease", type=float, default=8, help="seconds (default: as shipped)")
    parser.add_argument("--proxy", action="store_true", help="have no network namespace")
    parser.add_argument("--patience", type=float, default=1, help="times the bounds of recovery")
    parser.add_argument("--logs", action="store_true", help="show the logs where it failed")
    parser.add_argument("--list", action="store_true", help="name the faults")
    return parser.parse_args()


def leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="backdrop-chaos-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def prepare(folder: Path, url: str, redis: str, lease: float) -> dict[str, str]:
    """Make this process one of those that meet in the database; its environment."""
    names = ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
        "DB_URL": url,
        "REDIS_URL": redis,
        "CHAOS_LEASE_SECONDS": str(lease),
        "HOST": "127.0.0.1",
        **{name: secrets.token_urlsafe(48) for name in names},
    }
    os.environ.update(environment, VAR_DIR=str(folder / "harness"))
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    return environment


def run(chosen: argparse.Namespace, folder: Path, stack: ExitStack) -> int:
    from tests.chaos.links import ProxyLink, best_link
    from tests.chaos.places import Postgres, Redis, Sqlite

    began = time.monotonic()
    rng = random.Random(chosen.seed)
    say(f"Chaos on {chosen.db}, seed {chosen.seed}")
    database = stack.enter_context(Sqlite(folder) if chosen.db == "sqlite" else Postgres(folder))
    # One of the two runs has a Redis, so that both ways of living are tested.
    redis = stack.enter_context(Redis(folder)) if chosen.db == "postgres" else None
    link, far = None, {}
    if isinstance(database, Postgres):
        targets = {"database": database.socket, "redis": f"127.0.0.1:{redis.port}"}
        link = stack.enter_context((ProxyLink if chosen.proxy else best_link)(targets))
        far = {
            "DB_URL": database.url_at(link.host, link.ports["database"]),
            "REDIS_URL": f"redis://{link.host}:{link.ports['redis']}/0",
        }
        say(f"The second machine reaches the first over {link.kind}.")
    environment = prepare(folder, database.url, redis.url if redis else "", chosen.lease)

    from tests.chaos.faults import FAULTS, Arena
    from tests.chaos.site import site
    from tests.chaos.trial import HEAD, Trial

    for name in chosen.only:
        if name not in FAULTS:
            sys.exit(f"No fault is called {name!r}; see --list.")
    with site(folder, rng, environment, far, link) as platform:
        arena = Arena(site=platform, database=database, redis=redis, link=link, rng=rng)
        known = [FAULTS[name] for name in chosen.only] or list(FAULTS.values())
        faults = [fault for fault in known if fault.possible(arena)]
        rng.shuffle(faults)
        trial = Trial(platform, arena, folder, say)
        say(HEAD)
        result = trial.run(
            faults,
            seconds=chosen.seconds,
            tasks=chosen.tasks,
            cancels=chosen.cancels,
            patience=chosen.patience,
        )
        result.complaints += [f"left running: {left}" for left in platform.stop().items()]
        for machine in platform.machines:
            left = sorted(path.name for path in machine.temporary.iterdir())
            result.complaints += [f"left in the temporary folder: {name}" for name in left]
            if result.complaints and chosen.logs:
                say(f"--- log of {machine.name}\n{machine.log}")
    report(result, time.monotonic() - began)
    return 1 if result.complaints else 0


def report(result, seconds: float) -> None:
    from tests.chaos.trial import p95

    ends = ", ".join(f"{count} {outcome}" for outcome, count in sorted(result.ends.items()))
    say(f"\n{result.tasks} tasks in {result.attempts} attempts: {ends}")
    say(f"longest from being asked for to its end: {result.longest:.1f} s")
    for kind, taken in result.cancels.items():
        if taken:
            middle = sorted(taken)[len(taken) // 2]
            say(
                f"cancel, {kind:<13} {len(taken):>3} times: "
                f"p50 {middle:.2f} s, p95 {p95(taken):.2f} s, most {max(taken):.2f} s"
            )
    for complaint in result.complaints[:40]:
        say(f"BROKEN  {complaint}")
    verdict = f"{len(result.complaints)} promises broken" if result.complaints else "all held"
    say(f"{verdict}, in {seconds:.0f} s")


def list_faults() -> int:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.chaos.settings"
    import django

    django.setup()
    from tests.chaos.faults import FAULTS

    for fault in FAULTS.values():
        say(fault.name)
    return 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
