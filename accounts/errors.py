"""What this app raises for others to catch."""

from __future__ import annotations


class TooManyTriesError(Exception):
    """Too many failed logins; nothing is looked at for `retry_after` seconds, right or wrong."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many failed logins. Try again in {_spoken(retry_after)}.")
        self.retry_after = retry_after


class InvalidTokenError(Exception):
    """The token is malformed, expired or ended, or its user may no longer log in."""

    def __init__(self) -> None:
        super().__init__("The token is no longer good. Log in again.")


class NameTakenError(Exception):
    """The first admin can't be made: somebody who is none has the name."""

    def __init__(self, username: str) -> None:
        super().__init__(
            f"There is no superuser, and {username} is already the name of a user who is none. "
            "Set ADMIN_USERNAME to another name, or make one with manage.py createsuperuser."
        )


class UnreadableSecretError(Exception):
    """What is stored was encrypted with another ENCRYPTION_KEY."""


def _spoken(seconds: int) -> str:
    if seconds < 100:
        return f"{seconds} second{'s' * (seconds != 1)}"
    return f"{round(seconds / 60)} minutes"
