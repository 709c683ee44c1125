"""Whether this machine has what the demo's PostgreSQL needs: exit code 0, else 1.

python -m backdrop_site.demo.binaries
"""

from __future__ import annotations

import sys

from backups.pipeline.postgres import binaries


def enough() -> bool:
    """A server, and a client that can dump it."""
    try:
        server = binaries.server_for(0)
        binaries.dump_for(server.major)
        binaries.psql_for(server.major)
    except binaries.BinariesError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(0 if enough() else 1)
