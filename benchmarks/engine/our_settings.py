"""Backdrop's settings, with the jobs of this benchmark and nothing else changed."""

from backdrop_site.settings import *  # noqa: F403

JOB_MODULES = ["benchmarks.engine.our_jobs"]
