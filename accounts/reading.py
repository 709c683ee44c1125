"""JSON that comes from outside: what Python's own reader takes too much of, or breaks at.

reading.json_of(text)        the value; raises UnreadableError
reading.faults_of(value)     by path, what no database of ours can hold
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

DEEPEST = 100
_SURROGATES = re.compile("[\ud800-\udfff]")

NUL = "Null characters are not allowed."
SURROGATE = "Half a surrogate pair is no character."
INFINITE = "Numbers so large are not taken."


class UnreadableError(ValueError):
    """It is no JSON, or nested deeper than anybody means it; the sentence says which."""


def json_of(text: str | bytes) -> Any:
    """In UTF-8, as RFC 8259 has it: without NaN and Infinity."""
    try:
        found = json.loads(text, parse_constant=_refuse)
    except UnicodeDecodeError:
        raise UnreadableError("JSON parse error - it is not in UTF-8.") from None
    except ValueError as error:
        raise UnreadableError(f"JSON parse error - {error}") from None
    except RecursionError:
        raise UnreadableError(_deep()) from None
    if _depth(found) > DEEPEST:
        raise UnreadableError(_deep())
    return found


def faults_of(value: Any) -> dict[str, list[str]]:
    """`{"options.name": ["Null characters are not allowed."]}`: of a value of `json_of`, or of a
    form's fields. Empty where all can be kept."""
    found: dict[str, list[str]] = {}
    for path, told in _faults(value, ()):
        found.setdefault(".".join(path), []).append(told)
    return found


def _faults(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield from ((path, told) for told in _faults_of_text(value))
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, INFINITE
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from ((path, f"A name in it: {told}") for told in _faults_of_text(name))
            yield from _faults(inner, (*path, _sayable(name)))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _faults(inner, (*path, str(position)))


def _faults_of_text(text: str) -> Iterator[str]:
    if "\0" in text:
        yield NUL
    if _SURROGATES.search(text):
        yield SURROGATE


def _sayable(name: str) -> str:
    return name.encode("utf-8", "replace").decode().replace("\0", "?")


def _depth(value: Any) -> int:
    """Row by row, for what is deep would end a recursion."""
    depth, row = 0, [value]
    while row := [each for each in row if isinstance(each, (dict, list))]:
        depth += 1
        row = [inner for each in row for inner in _inside(each)]
    return depth


def _inside(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _deep() -> str:
    return f"It is nested more than {DEEPEST} deep."
