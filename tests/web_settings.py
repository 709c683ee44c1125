"""Settings of the web process that tests start: the same, but less patient."""

from backdrop_site.settings import *  # noqa: F403

LIVE_RECHECK_SECONDS = 0.3
