"""Settings of the processes of the chaos suite: as shipped, with jobs of its own."""

import os
from datetime import timedelta

from django.utils import timezone

from backdrop_site.settings import *  # noqa: F403

LEASE_SECONDS = float(os.environ.get("CHAOS_LEASE_SECONDS", "8"))
JOB_MODULES = ["tests.chaos.jobs"]

if "CHAOS_CLOCK_OFFSET" in os.environ:
    # Libraries that lie about the clock from outside break semaphores; all of ours ask this one.
    offset = timedelta(seconds=float(os.environ["CHAOS_CLOCK_OFFSET"]))
    right = timezone.now
    timezone.now = lambda: right() + offset
