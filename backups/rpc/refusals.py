"""Every failure as a status code with a sentence.

A task that failed is ABORTED: its own tries are used up, asking again starts another. What can't
be done in the present state is FAILED_PRECONDITION, as long as nobody changes that.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any

import grpc
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404

from accounts.errors import InvalidTokenError, TooManyTriesError
from backups.models import RefusedError, UnfitError
from tasks.errors import IdempotencyConflictError

logger = logging.getLogger(__name__)

Code = grpc.StatusCode
Handler = Callable[..., Awaitable[Any]]
Stream = Callable[..., AsyncIterator[Any]]


class StatusError(Exception):
    """What the caller is told instead of an answer."""

    def __init__(self, code: Any, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence

    @classmethod
    def invalid(cls, sentence: str) -> StatusError:
        return cls(Code.INVALID_ARGUMENT, sentence)

    @classmethod
    def missing(cls, sentence: str) -> StatusError:
        return cls(Code.NOT_FOUND, sentence)

    @classmethod
    def denied(cls, sentence: str) -> StatusError:
        return cls(Code.PERMISSION_DENIED, sentence)

    @classmethod
    def precondition(cls, sentence: str) -> StatusError:
        return cls(Code.FAILED_PRECONDITION, sentence)


def status_of(error: Exception) -> StatusError:
    """What that says, with its code; of an error nobody thought of not a word, but in the log."""
    match error:
        case StatusError():
            return error
        case UnfitError():
            return StatusError(Code.INVALID_ARGUMENT, str(error))
        case RefusedError():
            return StatusError(Code.FAILED_PRECONDITION, str(error))
        case IdempotencyConflictError():
            return StatusError(Code.ALREADY_EXISTS, str(error))
        case InvalidTokenError():
            return StatusError(Code.UNAUTHENTICATED, str(error))
        case TooManyTriesError():
            return StatusError(Code.RESOURCE_EXHAUSTED, str(error))
        case PermissionDenied():
            return StatusError.denied(str(error) or "You may not do that.")
        case Http404():
            return StatusError.missing(str(error))
        case OperationalError() | InterfaceError():
            return StatusError(Code.UNAVAILABLE, "Backdrop's own database does not answer.")
        case DatabaseError():
            logger.error("A call failed with %s", type(error).__name__)
        case _:
            logger.exception("A call failed")
    return StatusError(Code.INTERNAL, "Backdrop made a mistake; its log says more.")


def told(handler: Handler) -> Handler:
    """Decorator of a method that answers once."""

    @wraps(handler)
    async def answering(self: Any, request: Any, context: Any) -> Any:
        try:
            return await handler(self, request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await abort(context, status_of(error))

    return answering


def told_stream(handler: Stream) -> Stream:
    """Decorator of a method that answers many times."""

    @wraps(handler)
    async def answering(self: Any, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for answer in handler(self, request, context):
                yield answer
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await abort(context, status_of(error))

    return answering


async def abort(context: Any, error: StatusError) -> None:
    await context.abort(error.code, error.sentence)
