"""Schedules over gRPC."""

from __future__ import annotations


class Schedules:
    """Part of the servicer."""
