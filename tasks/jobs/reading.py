"""Reading the given file with progress, in blocks."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.registry import Context
from tasks.uploads.inputs import Input

BLOCK = 1 << 20


def blocks(
    given: Input, context: Context, verb: str, *, total: int | None = None
) -> Iterator[bytes]:
    """The file's bytes; the task's progress says how many have been read, of `total` where the
    job has more to read than these."""
    context.message(verb)
    done = 0
    total = given.size if total is None else total
    context.progress(0, total)
    with given.path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
            done += len(block)
            context.progress(done, total)
