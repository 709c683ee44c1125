"""Who calls, and what they may see and do. The server's interceptor says who it is."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from accounts import policy, tokens
from backups.rpc.refusals import StatusError

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

    from accounts.models import User
    from accounts.policy import Verb

Row = TypeVar("Row", bound="Model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A user; or, where GRPC_REQUIRE_AUTH is false, somebody on this machine who sends no token
    and may therefore call but a few methods: that is `user=None`, who sees all."""

    user: User | None
    token: str = field(default="", repr=False)
    expires_at: float | None = None

    @classmethod
    def by_token(cls, token: str) -> Caller:
        """Who holds it, as things stand now. Asks the database; raises InvalidTokenError."""
        return cls(user=tokens.user_of(token), token=token, expires_at=tokens.end_of(token))

    def again(self) -> Caller:
        """The same, asked anew: tokens expire, users are disabled."""
        return self if self.user is None else self.by_token(self.token)

    def sees(self, rows: QuerySet[Row]) -> QuerySet[Row]:
        return rows if self.user is None else policy.visible(self.user, rows)

    def must(self, verb: Verb, row: Model) -> None:
        """Raise StatusError unless the caller may do that to what they see."""
        if self.user is not None and not policy.may(self.user, verb, row):
            raise StatusError.denied(policy.refusal(verb))


_caller: ContextVar[Caller] = ContextVar("caller")


def enter(caller: Caller) -> None:
    """Called once for each call, before it is handled."""
    _caller.set(caller)


def current() -> Caller:
    return _caller.get()
