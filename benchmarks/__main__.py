"""`make bench`: backups by Backdrop beside the pipelines people write, all in one run.

BENCH_MB (default 1000) is the size of the dump, BENCH_ROUNDS (default 5) how often each is run.
Contenders take turns, so that a noisy moment hits all of them; figures are medians.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from backups.pipeline import binaries
from backups.pipeline.scratch import ScratchPostgres
from benchmarks import measure, peers, sample
from tests.seaweed import BUCKET, SeaweedServer

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A way to back up. `target` is where its objects are, to be emptied after each run."""

    name: str
    command: list[str]
    target: str


def main() -> None:
    megabytes = int(os.environ.get("BENCH_MB", "1000"))
    rounds = int(os.environ.get("BENCH_ROUNDS", "5"))
    peers.prepare()
    folder = Path(tempfile.mkdtemp(prefix="backdrop-bench-"))
    s3 = SeaweedServer()
    try:
        with ScratchPostgres(binaries.server_for(0), listen=True) as postgres:
            s3.start()
            print(f"Filling a database with about {megabytes} MB of dump text", flush=True)
            sample.fill(postgres, DATABASE, megabytes)
            env = _environment(postgres, s3, folder)
            runs = _race(_contenders(postgres, s3, folder), rounds, env, s3, folder)
    finally:
        s3.close()
        shutil.rmtree(folder, ignore_errors=True)
    _report(runs, megabytes, rounds)


def _environment(postgres: ScratchPostgres, s3: SeaweedServer, folder: Path) -> dict[str, str]:
    """Everything that the contenders read; secrets travel here and in no command line."""
    server = postgres.server(DATABASE)
    return {
        **os.environ,
        "VAR_DIR": str(folder / "var"),
        "PGPASSWORD": postgres.password,
        "PYTHONPATH": str(ROOT),
        "BENCH_SERVER": json.dumps(
            {
                "host": server.host,
                "port": server.port,
                "dbname": server.dbname,
                "user": server.user,
                "password": postgres.password,
            }
        ),
        "BENCH_LOCAL": json.dumps({"folder": str(folder / "local")}),
        "BENCH_S3": json.dumps(
            {
                "bucket": BUCKET,
                "prefix": "ours",
                "endpoint": s3.endpoint,
                "region": "us-east-1",
                "access_key": s3.keys.access,
            }
        ),
        "BENCH_SECRET": s3.keys.secret,
        "AWS_ACCESS_KEY_ID": s3.keys.access,
        "AWS_SECRET_ACCESS_KEY": s3.keys.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }


def _contenders(postgres: ScratchPostgres, s3: SeaweedServer, folder: Path) -> list[Contender]:
    server = postgres.server(DATABASE)
    dump = f"{binaries.dump_for(postgres.installation.major).program('pg_dump')} " + (
        f"--no-password -h {server.host} -p {server.port} -U {server.user} {DATABASE}"
    )
    upload = f"{peers.BIN / 'aws'} --endpoint-url {s3.endpoint} s3 cp - s3://{BUCKET}/peer/o"
    (folder / "local").mkdir()
    ours = [
        Contender(
            name=f"backdrop {compression}, {kind}",
            command=measure.python("-m", "benchmarks.ours", kind, compression),
            target="local" if kind == "local" else "ours/",
        )
        for kind in ("local", "s3")
        for compression in ("gzip", "zstd")
    ]
    return [
        _shell("pg_dump > /dev/null", f"{dump} > /dev/null"),
        _shell("pg_dump | gzip -6 | aws s3 cp -", f"{dump} | gzip -6 | {upload}"),
        _shell("pg_dump | zstd -1 | aws s3 cp -", f"{dump} | zstd -q -1 | {upload}"),
        *ours,
    ]


def _shell(name: str, line: str) -> Contender:
    return Contender(name=name, command=["bash", "-c", f"set -o pipefail; {line}"], target="peer/")


def _race(
    contenders: list[Contender],
    rounds: int,
    env: Mapping[str, str],
    s3: SeaweedServer,
    folder: Path,
) -> dict[str, list[measure.Figures]]:
    runs: dict[str, list[measure.Figures]] = {each.name: [] for each in contenders}
    for number in range(rounds + 1):
        for each in contenders:
            figures = measure.run(each.command, env)
            _empty(each.target, s3, folder)
            if number:  # the first round warms the caches
                runs[each.name].append(figures)
            print(f"round {number}: {each.name}: {figures.wall:.2f} s", flush=True)
    return runs


def _empty(target: str, s3: SeaweedServer, folder: Path) -> None:
    if target == "local":
        for file in (folder / "local").iterdir():
            file.unlink()
        return
    client = s3.client()
    for found in client.list_objects_v2(Bucket=BUCKET, Prefix=target).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=found["Key"])


def _report(runs: Mapping[str, list[measure.Figures]], megabytes: int, rounds: int) -> None:
    base = statistics.median(each.wall for each in runs["pg_dump > /dev/null"])
    print(f"\nAbout {megabytes} MB of dump text, medians of {rounds} rounds\n")
    print("| contender | wall s | ratio | CPU s | memory MiB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, figures in runs.items():
        wall = statistics.median(each.wall for each in figures)
        cpu = statistics.median(each.cpu for each in figures)
        memory = statistics.median(each.memory for each in figures) / 2**20
        print(f"| `{name}` | {wall:.2f} | {wall / base:.2f} | {cpu:.2f} | {memory:.0f} |")
    kept = ROOT / "benchmarks" / "results"
    kept.mkdir(exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    found = {name: [asdict(each) for each in figures] for name, figures in runs.items()}
    text = {"megabytes": megabytes, "python": sys.version, "runs": found}
    (kept / f"{moment}.json").write_text(json.dumps(text, indent=2))


if __name__ == "__main__":
    main()
