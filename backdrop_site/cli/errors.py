"""What goes wrong, as a sentence and an exit code.

0 it worked; 1 the work failed, or the daemon refused it; 2 wrong usage; 3 not logged in, or not
allowed; 4 no daemon answers; 130 interrupted.
"""

from __future__ import annotations

import json
import re
from typing import Any

import click
import grpc

FAILED, WRONG_USAGE, NOT_ALLOWED, UNREACHABLE, INTERRUPTED = 1, 2, 3, 4, 130

Code = grpc.StatusCode
EXITS = {
    Code.UNAUTHENTICATED: NOT_ALLOWED,
    Code.PERMISSION_DENIED: NOT_ALLOWED,
    Code.UNAVAILABLE: UNREACHABLE,
    Code.DEADLINE_EXCEEDED: UNREACHABLE,
}
DOCTOR = "What is wrong: backdrop doctor"
SIGNS = ("connect", "Socket closed", "DNS", "GOAWAY", "address", "handshake", "Connection", "RST")
"""Words of gRPC's own where nobody could be asked."""


class CommandError(click.ClickException):
    """Ends the command."""

    def __init__(
        self, sentence: str, *, exit_code: int = FAILED, code: str = "", as_json: bool = False
    ) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code  # type: ignore[misc]  # click looks for it here
        self.code = code
        context = click.get_current_context(silent=True)  # when it is shown there is none any more
        asked = context is not None and context.find_root().meta.get("json", False)
        self._as_json = as_json or asked

    def show(self, file: Any = None) -> None:
        if self._as_json:
            told = {"error": self.message, "code": self.code or "FAILED"}
            click.echo(json.dumps(told), err=True)
        else:
            click.echo(f"backdrop: {self.message}", err=True)


def of_call(error: grpc.RpcError, address: str, *, tls: bool) -> CommandError:
    """What the daemon said, or why nobody did."""
    code, sentence = error.code(), error.details() or error.code().name
    if code == Code.UNAVAILABLE:
        sentence = f"{why_silent(sentence, address, tls=tls)} {DOCTOR}"
    if code == Code.UNIMPLEMENTED:
        sentence = "The daemon is of another version: it does not know this."
    if code == Code.DEADLINE_EXCEEDED:
        sentence = f"The daemon at {address} took too long to answer. {DOCTOR}"
    return CommandError(sentence, exit_code=EXITS.get(code, FAILED), code=code.name)


def why_silent(details: str, address: str, *, tls: bool) -> str:
    """In our words, where gRPC itself tells in its own that nobody could be asked."""
    if "WRONG_VERSION_NUMBER" in details:
        return f"{address} does not speak TLS: try --plaintext."
    if found := re.search(r"CERTIFICATE_VERIFY_FAILED:? ?([\w -]*)", details):
        return (
            f"The certificate of {address} is not trusted here ({found[1] or 'no reason given'}). "
            "Name the authority that signed it: --ca FILE."
        )
    if "Peer name" in details or ("ostname" in details and "erif" in details):
        return f"The certificate of {address} is for another name: use that as --address."
    if not tls and "Socket closed" in details and "failed to connect" in details:
        return f"{address} takes connections and closes them again: does it want --tls?"
    if any(sign in details for sign in SIGNS) and "daemon is stopping" not in details:
        return f"No daemon answers at {address}."
    return details
