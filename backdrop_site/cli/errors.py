"""What goes wrong, as a sentence and an exit code.

0 it worked; 1 the work failed, or the daemon refused it; 2 wrong usage; 3 not logged in, or not
allowed; 4 no daemon answers; 130 interrupted.
"""

from __future__ import annotations

import json
from typing import Any

import click
import grpc

FAILED, NOT_ALLOWED, UNREACHABLE, INTERRUPTED = 1, 3, 4, 130

Code = grpc.StatusCode
EXITS = {
    Code.UNAUTHENTICATED: NOT_ALLOWED,
    Code.PERMISSION_DENIED: NOT_ALLOWED,
    Code.UNAVAILABLE: UNREACHABLE,
    Code.DEADLINE_EXCEEDED: UNREACHABLE,
}
REMEDIES = {
    Code.UNAUTHENTICATED: "Log in: backdrop login",
    Code.UNAVAILABLE: "What is wrong: backdrop doctor",
}


class CommandError(click.ClickException):
    """Ends the command."""

    def __init__(self, sentence: str, *, exit_code: int = FAILED, code: str = "") -> None:
        super().__init__(sentence)
        self.exit_code = exit_code  # type: ignore[misc]  # click looks for it here
        self.code = code
        context = click.get_current_context(silent=True)  # when it is shown there is none any more
        self._as_json = context is not None and context.find_root().meta.get("json", False)

    def show(self, file: Any = None) -> None:
        if self._as_json:
            told = {"error": self.message, "code": self.code or "FAILED"}
            click.echo(json.dumps(told), err=True)
        else:
            click.echo(f"backdrop: {self.message}", err=True)


def of_call(error: grpc.RpcError, address: str) -> CommandError:
    """What the daemon said, or that nobody did."""
    code, details = error.code(), error.details() or ""
    if code == Code.UNAVAILABLE and _is_of_transport(details):
        details = f"No daemon answers at {address}."
    if code == Code.UNIMPLEMENTED:
        details = "The daemon is of another version: it does not know this."
    remedy = REMEDIES.get(code, "")
    sentence = f"{details or code.name} {remedy}".strip()
    return CommandError(sentence, exit_code=EXITS.get(code, FAILED), code=code.name)


def _is_of_transport(details: str) -> bool:
    """Whether gRPC itself wrote this, in its own words, because nobody could be asked."""
    signs = ("connect", "Socket closed", "DNS", "GOAWAY", "address", "handshake", "Connection")
    return any(sign in details for sign in signs) and "daemon is stopping" not in details
