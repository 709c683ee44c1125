"""Text that must not be seen."""

from __future__ import annotations


class Hidden(str):
    """Text that shows as dots wherever a value is printed: reprs, tracebacks, dumped locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'••••••'" if self else "''"


def mask(text: str, secret: str) -> str:
    """`text` without the secret, should a server or client have quoted it."""
    return text.replace(secret, "••••••") if secret else text
