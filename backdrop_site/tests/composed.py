"""docker-compose.yml as Compose understands it: with values put in, or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import yaml
from django.conf import settings

FILE = settings.BASE_DIR / "docker-compose.yml"
TEXT = FILE.read_text()
SERVICES = yaml.safe_load(TEXT)["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "backdrop")
MOUNTED = "/run/secrets/"
_NAMED = re.compile(r"\w+")


class RequiredError(Exception):
    """A value is needed, and nobody gave it; what Compose would say."""


def composed(**variables: str) -> dict[str, Any]:
    """The file with these variables, from the shell or from .env."""
    return _each(yaml.safe_load(TEXT), partial(filled, variables=variables))


def environment(service: str, **variables: str) -> dict[str, str]:
    """What a container of that service finds. A name without a value is passed on if it is set."""
    named = composed(**variables)["services"][service]["environment"]
    given = {name: variables.get(name) if told is None else told for name, told in named.items()}
    return {name: str(told) for name, told in given.items() if told is not None}


def filled(text: str, variables: Mapping[str, str]) -> str:
    """`${NAME}`, `${NAME:-instead}`, `${NAME:+instead}` and `${NAME:?message}`, one in another;
    `$$` is `$`."""
    told, at = "", 0
    while (found := text.find("$", at)) >= 0:
        told += text[at:found]
        if text.startswith("$$", found):
            told, at = told + "$", found + 2
        else:
            assert text.startswith("${", found), text
            at = _closing(text, found + 2) + 1
            told += _value(text[found + 2 : at - 1], variables)
    return told + text[at:]


def _value(inner: str, variables: Mapping[str, str]) -> str:
    name = _NAMED.match(inner)[0]
    how, rest = inner[len(name) :][:2], inner[len(name) + 2 :]
    value = variables.get(name, "")
    if how == ":?" and not value:
        raise RequiredError(f"required variable {name} is missing a value: {rest}")
    if how == ":+":
        return filled(rest, variables) if value else ""
    assert how in ("", ":-", ":?"), inner
    return value or (filled(rest, variables) if how == ":-" else "")


def _closing(text: str, at: int) -> int:
    """Where the brace that was opened before `at` is closed."""
    depth = 1
    for place in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return place
    raise AssertionError(text)


def _each(told: Any, change: Any) -> Any:
    if isinstance(told, dict):
        return {key: _each(value, change) for key, value in told.items()}
    if isinstance(told, list):
        return [_each(value, change) for value in told]
    return change(told) if isinstance(told, str) else told
