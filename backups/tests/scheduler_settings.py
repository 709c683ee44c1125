"""Settings of a daemon that dies, as by a power cut, between its claim and its call."""

from tasks.tests.crew_settings import *  # noqa: F403

DAEMON_SERVICES = [
    "tasks.daemon.keep_house",
    "backdrop_site.grpc_server.serve",
    "backups.tests.dying_scheduler.serve",
]
