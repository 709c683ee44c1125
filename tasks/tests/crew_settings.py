"""Settings of the workers and daemons that tests start: the same, but less patient."""

from backdrop_site.settings import *  # noqa: F403

LEASE_SECONDS = 3.0
GRPC_PORT = 0
JOB_MODULES = ["tasks.tests.toys"]
