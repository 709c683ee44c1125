"""Settings of the processes of the chaos suite: as shipped, with jobs of its own."""

import os

from backdrop_site.settings import *  # noqa: F403

LEASE_SECONDS = float(os.environ.get("CHAOS_LEASE_SECONDS", "8"))
JOB_MODULES = ["tests.chaos.jobs"]
