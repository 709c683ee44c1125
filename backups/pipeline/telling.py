"""What programs and servers say, put into a sentence with a remedy, by tables of rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A failure as it is told to people."""

    sentence: str
    remedy: str = ""
    permanent: bool = False
    lacking: bool = False
    """The server, and not the dump, is the reason that it was not taken."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a message that holds `pattern` means."""

    pattern: str
    sentence: str
    """May name `{place}`, `{user}`, `{dbname}`, `{message}` and the pattern's groups `{0}`."""
    remedy: str = ""
    permanent: bool = False
    lacking: bool = False


class Place(Protocol):
    """The server that it is about."""

    @property
    def place(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def dbname(self) -> str: ...
    def mask(self, text: str) -> str: ...


def first(server: Place, message: str, rules: Iterable[Rule]) -> Told | None:
    """What the first rule that fits makes of the message."""
    for rule in rules:
        if found := re.search(rule.pattern, message):
            groups = [server.mask(group) for group in found.groups() if group]
            names = {"place": server.place, "user": server.user, "dbname": server.dbname}
            return Told(
                sentence=rule.sentence.format(*groups, **names, message=plain(server, message)),
                remedy=rule.remedy,
                permanent=rule.permanent,
                lacking=rule.lacking,
            )
    return None


def plain(server: Place, message: str) -> str:
    """The first lines of what was said, in one, without the password."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = " ".join(lines[:3])[:500]
    said = re.sub(r"^(?:[\w-]+): (?:error|fatal|Error): ", "", said, flags=re.IGNORECASE)
    return server.mask(said) or "it gave no reason"
