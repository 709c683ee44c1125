"""The people and machines that log in."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower


class User(AbstractUser):
    """A person, or a system user such as the scheduler; belongs to teams through Membership."""

    class Meta(AbstractUser.Meta):
        constraints = [
            # An e-mail address logs in too, so it must name one account; many may have none.
            models.UniqueConstraint(
                Lower("email"), condition=~models.Q(email=""), name="accounts_user_email_once"
            ),
        ]
