"""Settings of the web process that tests start: the same, but less patient."""

import os

from backdrop_site.settings import *  # noqa: F403

LIVE_RECHECK_SECONDS = 0.3
LIVE_POLL_SECONDS = float(os.environ.get("TEST_POLL_SECONDS", "0"))  # 0: as it is
JOB_MODULES = ["tasks.tests.toys"]
LIVE_HEARTBEAT_SECONDS = 0.3
