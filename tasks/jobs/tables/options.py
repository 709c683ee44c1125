"""The options that all jobs on tables share: how to read the file, where a guess is wrong."""

from __future__ import annotations

from typing import Any

TYPES = (
    "text/csv",
    "text/tab-separated-values",
    "text/plain",
    "application/x-ndjson",
    "application/json",
    "application/vnd.apache.parquet",
)
JOB_BYTES = 1 << 30
"""What a job on tables may take beyond what its process began with."""
FORMATS = ("csv", "tsv", "jsonl", "parquet")

READING: dict[str, Any] = {
    "format": {
        "type": "string",
        "enum": ["auto", *FORMATS],
        "default": "auto",
        "title": "Format",
        "description": "Of the file sent; told from its name and content unless given",
    },
    "delimiter": {
        "type": "string",
        "minLength": 1,
        "maxLength": 1,
        "title": "Delimiter",
        "description": "What separates the fields of CSV; found out unless given",
    },
    "quote": {
        "type": "string",
        "maxLength": 1,
        "title": "Quote",
        "description": "What encloses a field of CSV, empty for nothing; found out unless given",
    },
    "header": {
        "type": "string",
        "enum": ["auto", "yes", "no"],
        "default": "auto",
        "title": "Header",
        "description": "Whether the first row of CSV names the columns",
    },
    "encoding": {
        "type": "string",
        "enum": ["auto", "utf-8", "utf-16", "latin-1"],
        "default": "auto",
        "title": "Encoding",
        "description": "Of text; what isn't UTF-8 is taken for latin-1, with a warning",
    },
    "types": {
        "type": "string",
        "enum": ["auto", "text"],
        "default": "auto",
        "title": "Types",
        "description": "`text` keeps all values of CSV just as they are written",
    },
}


def bad_rows(default: str) -> dict[str, Any]:
    return {
        "type": "string",
        "enum": ["fail", "skip"],
        "default": default,
        "title": "Bad rows",
        "description": "Rows of CSV that don't fit: fail at the first, or leave them out and tell",
    }
