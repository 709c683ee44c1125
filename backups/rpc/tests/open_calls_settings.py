"""Settings of a daemon that tells what its gRPC server has under way."""

from tasks.tests.crew_settings import *  # noqa: F403
from tasks.tests.crew_settings import DAEMON_SERVICES

DAEMON_SERVICES = [*DAEMON_SERVICES, "backups.rpc.tests.open_calls.serve"]
