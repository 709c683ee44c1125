"""One backup through Backdrop's pipeline, as the worker's child runs it.

Reads the server and the S3 secret from the environment, so that neither stands in a command line.
"""

from __future__ import annotations

import argparse
import json
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backdrop_site.settings")
django.setup()

from backups import storages  # noqa: E402
from backups.pipeline import flow  # noqa: E402
from backups.pipeline.postgres import PostgresSource  # noqa: E402
from backups.pipeline.postgres.connection import PostgresServer  # noqa: E402


class Silent:
    """A watcher that nobody reads."""

    def progress(self, done: int, total: int | None = None, *, unit: str = "bytes") -> None: ...
    def message(self, text: str) -> None: ...
    def log(self, text: str, *, level: str = "info") -> None: ...
    def confirm(self) -> None: ...
    def opened(self, kind: str, **ids: str) -> None: ...
    def closed(self, kind: str, **ids: str) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("local", "s3"))
    parser.add_argument("compression")
    chosen = parser.parse_args()
    server = PostgresServer(**json.loads(os.environ["BENCH_SERVER"]))
    options = json.loads(os.environ[f"BENCH_{chosen.kind.upper()}"])
    store = storages.open_store(chosen.kind, options, os.environ.get("BENCH_SECRET", ""))
    order = flow.DumpOrder(database="bench", plan="bench", compression=chosen.compression)
    flow.store_dump(
        order,
        PostgresSource(server),
        store,
        Silent(),
        reserve=lambda key: True,
        accept=lambda key, made: None,
    )


if __name__ == "__main__":
    main()
