"""What has expired is removed, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts import leftovers, tokens
from accounts.models import FailedLogin
from accounts.throttle import WINDOW

pytestmark = pytest.mark.django_db


def test_it_works(owner):
    now = timezone.now()
    for moment in (now - timedelta(days=1), now + timedelta(days=1)):
        Session.objects.create(session_key=f"{moment:%d}", expire_date=moment)
        tokens.end(tokens.pair_for(owner).refresh)
        OutstandingToken.objects.filter(expires_at__gt=now + timedelta(days=2)).update(
            expires_at=moment
        )
        FailedLogin.objects.create(who="w", origin="o", at=moment - WINDOW)
    assert leftovers.sweep() == 4  # a token goes with its place on the black list
    for model in (Session, OutstandingToken, BlacklistedToken, FailedLogin):
        assert model.objects.count() == 1


def test_a_second_time_finds_nothing(owner):
    tokens.pair_for(owner)
    assert leftovers.sweep() == 0
