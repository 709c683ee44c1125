"""Logging in by user name or e-mail address."""

from __future__ import annotations

from django.contrib.auth.backends import ModelBackend


class UsernameOrEmailBackend(ModelBackend):
    """Takes an e-mail address as user name too."""
