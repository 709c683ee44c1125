"""Settings of the workers and daemons that tests start: the same, but less patient."""

import os

from backdrop_site.settings import *  # noqa: F403

LEASE_SECONDS = 3.0
LIVE_RECHECK_SECONDS = 1.0
GRPC_PORT = int(os.environ.get("GRPC_PORT", "0"))
METRICS_PORT = int(os.environ.get("METRICS_PORT", "0"))
CANARY_SECONDS = int(os.environ.get("CANARY_SECONDS", "0"))
JOB_MODULES = ["tasks.tests.toys"]
