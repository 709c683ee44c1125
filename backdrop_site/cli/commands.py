"""The command with all its commands, which register themselves."""

from __future__ import annotations

from backdrop_site.cli import doctor, logins, schedules, uploads, work
from backdrop_site.cli.group import cli

__all__ = ["cli", "doctor", "logins", "schedules", "uploads", "work"]
