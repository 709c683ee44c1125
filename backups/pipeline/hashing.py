"""A stage that weighs and hashes what passes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from backups.pipeline.ports import Block, Stream


class Hashed:
    """Passes blocks on unchanged. `size` grows as they pass; `sha256` is known at the end only.

    `progress`, if given, is told the size after each block.
    """

    def __init__(self, stream: Stream, progress: Callable[[int], None] | None = None) -> None:
        self.size = 0
        self._stream = stream
        self._progress = progress
        self._hash = hashlib.sha256()
        self._exhausted = False

    def __iter__(self) -> Iterator[Block]:
        for block in self._stream:
            self._hash.update(block)
            self.size += len(block)
            if self._progress:
                self._progress(self.size)
            yield block
        self._exhausted = True

    @property
    def sha256(self) -> str:
        """The digest of the whole stream; asked for earlier it would be that of a part."""
        if not self._exhausted:
            raise RuntimeError("The stream has not been read to its end.")
        return self._hash.hexdigest()
