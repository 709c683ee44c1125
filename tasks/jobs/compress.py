"""The job `compress`: the file as gzip or zstd."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, cast

from isal import igzip_threaded

from tasks.jobs import reading
from tasks.registry import Context, Intake, Job, register

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMATS = {"gzip": ".gz", "zstd": ".zst"}
ZSTD_LEVEL = 3
GZIP_LEVEL = 1  # of isal's four: a fifth of zlib's time at 6, and a twentieth more bytes

OPTIONS: dict[str, Any] = {
    "properties": {
        "format": {
            "type": "string",
            "enum": list(FORMATS),
            "default": "zstd",
            "title": "Format",
            "description": "zstd is smaller and quicker; gzip opens everywhere",
        },
        "level": {
            "type": "integer",
            "minimum": 1,
            "maximum": 19,
            "title": "Level",
            "description": "Of zstd alone: higher is smaller and slower",
        },
    },
}


def run(context: Context) -> Mapping[str, Any]:
    """Compress in one pass, with the same memory whatever the size."""
    asked = context.args.get("options", {})
    chosen = asked.get("format", "zstd")
    with context.input() as given:
        name = f"{given.filename or 'file'}{FORMATS[chosen]}"
        with context.artifact(name) as path:
            with _opened(path, chosen, asked.get("level")) as target:
                _copy(reading.blocks(given, context, "Compressing"), target)
            stored = path.stat().st_size
        ratio = round(given.size / stored, 2) if stored else 1.0
        context.log(f"{given.size} bytes became {stored}.")
        return {"format": chosen, "size": given.size, "compressed": stored, "ratio": ratio}


def _opened(path: Path, chosen: str, level: int | None) -> IO[bytes]:
    if chosen == "gzip":
        opened: Any = igzip_threaded.open  # it has no types
        return cast("IO[bytes]", opened(path, "wb", compresslevel=GZIP_LEVEL))
    return cast("IO[bytes]", zstd.open(path, "wb", level=level or ZSTD_LEVEL))


def _copy(blocks: Iterable[bytes], target: IO[bytes]) -> None:
    for block in blocks:
        target.write(block)


register(
    Job(
        name="compress",
        run=run,
        title="Compress",
        intake=Intake(),
        options=OPTIONS,
        memory_bytes=1 << 30,
        deadline_seconds=4 * 3600,
        stall_seconds=600,
    )
)
