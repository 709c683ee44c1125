"""Rows of this app that only ever grow: expired sessions and tokens, failed logins of long ago."""

from __future__ import annotations

from django.contrib.sessions.models import Session
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts.models import FailedLogin
from accounts.throttle import WINDOW


def sweep() -> int:
    """Remove what no longer means anything; how many rows went. To be called now and then."""
    now = timezone.now()
    gone = [
        Session.objects.filter(expire_date__lt=now),
        OutstandingToken.objects.filter(expires_at__lt=now),
        FailedLogin.objects.filter(at__lt=now - WINDOW),
    ]
    return sum(rows.delete()[0] for rows in gone)
