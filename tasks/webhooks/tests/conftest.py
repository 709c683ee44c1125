from __future__ import annotations

import pytest

from tasks.models import Webhook


@pytest.fixture
def private(settings) -> None:
    """Receivers of tests are on loopback."""
    settings.WEBHOOKS_ALLOW_PRIVATE = True


@pytest.fixture
def hook(db, team, private):
    """hook(url, …): a webhook of the team."""

    def make(url: str, **more) -> Webhook:
        row = Webhook(team=team, url=url, **{"name": "shop", **more})
        row.full_clean()
        row.save()
        return row

    return make
