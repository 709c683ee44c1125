"""A daemon, workers and a PostgreSQL to talk to."""

from backups.rpc.tests.conftest import *  # noqa: F403
