"""What jobs raise (each with its remedy; one place, the minder, retries), and what `push` does."""

from __future__ import annotations


class JobError(Exception):
    """A failure told to people: `sentence` says what was wrong and where, `remedy` what to do.

    Retried by the task's policy. Neither part may hold a secret.
    """

    permanent = False

    def __init__(
        self, sentence: str, *, remedy: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
        self.retry_after = retry_after  # seconds; None leaves the delay to the policy

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()


class PermanentError(JobError):
    """A failure that trying again can't mend (a wrong password, a missing database)."""

    permanent = True


class CancelledError(BaseException):
    """Raised in the child when a person cancels; a BaseException so that no job swallows it."""


class FencedError(BaseException):
    """The row belongs to another attempt by now: stop at once, change nothing."""


class UnknownJobError(ValueError):
    """No job of that name is registered."""


class IdempotencyConflictError(Exception):
    """The idempotency key was used before, for another request."""
