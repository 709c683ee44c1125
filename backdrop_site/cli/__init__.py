"""`backdrop`, the command line: a gRPC client that needs neither settings nor a database."""

from __future__ import annotations

import os

# gRPC's own lines on stderr would say again, and worse, what we say.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def main() -> None:
    """Run it. Exit codes: see `errors`."""
    from backdrop_site.cli.commands import cli

    cli(prog_name="backdrop")
