"""What DuckDB says against a file, in words for people; its own texts name paths and settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from tasks.errors import PermanentError


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: str
    sentence: str
    """May name the pattern's groups, `{0}` and so on."""
    remedy: str = ""


_FORMAT = "Look whether the option `format` fits, and send it again."
_RULES = (
    _Rule(
        r"Out of Memory|Allocation failure|bad_alloc",
        "The job ran out of memory: it has very many columns, or very long rows.",
        "Split it into files with fewer columns.",
    ),
    _Rule(
        r"Interrupted|INTERRUPT|File too large|No space left|Disk quota exceeded",
        "The result is larger than this machine gives it room for.",
        "Convert to Parquet, which is smaller, or a part of it.",
    ),
    _Rule(
        r"CSV Error on Line: (\d+)[\s\S]*?(?:Invalid unicode|not utf-8|encoded)",
        "Line {0} is not in the encoding that was assumed.",
        "Name another by the option `encoding`.",
    ),
    _Rule(
        r"CSV Error on Line: (\d+)[\s\S]*?Expected Number of Columns: (\d+) Found: (\d+)",
        "Line {0} has {2} fields instead of {1}.",
        "Correct it, or ask to leave such rows out by the option `bad_rows`.",
    ),
    _Rule(
        r"CSV Error on Line: (\d+)[\s\S]*?Could not convert[^\n]*?to '?(\w+)",
        "Line {0} holds a value that is no {1}, as all before it were.",
        "Read all as text by the option `types`, or leave such rows out by `bad_rows`.",
    ),
    _Rule(
        r"CSV Error on Line: (\d+)[\s\S]*?(?:quote|Quote)",
        "In line {0} a quote is opened or closed where it shouldn't be.",
        "Correct it, or name the quote by the option `quote`.",
    ),
    _Rule(
        r"CSV Error on Line: (\d+)[\s\S]*?[Mm]ax(?:imum)? line size",
        "The row in line {0} is longer than can be read.",
        "Perhaps a quote in it is never closed; name it by the option `quote`.",
    ),
    _Rule(r"CSV Error on Line: (\d+)", "Line {0} can't be read as a row of the table.", _FORMAT),
    _Rule(
        r"not possible to automatically detect|sniffing file",
        "How the columns are separated can't be told from the file.",
        "Name it by the options `delimiter`, `quote` and `header`.",
    ),
    _Rule(
        r"Malformed JSON[\s\S]*?in (?:line|record/value|array) (\d+)",
        "Line {0}, or the one before it, is not JSON.",
        "Each line should be one whole JSON object.",
    ),
    _Rule(r"Malformed JSON", "It is not JSON: a line of it can't be read.", _FORMAT),
    _Rule(r"maximum recursion depth", "Its JSON is nested too deeply to be read."),
    _Rule(r"maximum_object_size|Maximum object size", "A JSON object in it is too large."),
    _Rule(r"JSON", "Its JSON can't be read as a table.", "Each line should be one JSON object."),
    _Rule(
        r"magic bytes|Footer length|footer|too small to be a Parquet",
        "The Parquet file is broken: its footer is missing or damaged.",
        "Perhaps it was cut short. Make it anew, and send it again.",
    ),
)


@contextmanager
def told(what: str) -> Iterator[None]:
    """What DuckDB raises becomes a PermanentError: the same file fails again in the same way."""
    try:
        yield
    except (duckdb.Error, RuntimeError) as error:
        raise _error(what, str(error)) from None


def _error(what: str, said: str) -> PermanentError:
    for rule in _RULES:
        if found := re.search(rule.pattern, said):
            groups = [str(group)[:100] for group in found.groups()]
            return PermanentError(rule.sentence.format(*groups), remedy=rule.remedy)
    return PermanentError(
        f"The file can't be read as {what}: it is damaged, or something else.", remedy=_FORMAT
    )
