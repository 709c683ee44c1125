"""Objects in this process's memory, for tests: the same promises as every other store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from backups.pipeline.errors import MissingObjectError, ObjectExistsError
from backups.pipeline.ports import StoredObject, Stream
from backups.storages import keys, probe

BLOCK_BYTES = 1 << 20


class MemoryStore:
    """An ObjectStore that forgets everything with its process."""

    def __init__(self, name: str = "memory") -> None:
        self._name = name
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def check(self) -> None:
        probe.prove(self)

    def describe(self) -> str:
        return f"memory://{self._name}"

    def write(
        self,
        key: str,
        stream: Stream,
        *,
        before_commit: Callable[[], None] | None = None,
        opened: Callable[[dict[str, str]], None] | None = None,
        closed: Callable[[dict[str, str]], None] | None = None,
    ) -> StoredObject:
        self._refuse_existing(keys.checked(key))
        content = b"".join(bytes(block) for block in stream)
        if before_commit is not None:
            before_commit()
        with self._lock:
            self._refuse_existing(key)
            self._objects[key] = content
        return StoredObject(key=key, size=len(content))

    def _refuse_existing(self, key: str) -> None:
        if key in self._objects:
            raise ObjectExistsError(self.describe(), key)

    @contextmanager
    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[Stream]:
        content = memoryview(self._content(key))[offset:][:length]
        yield (content[at : at + BLOCK_BYTES] for at in range(0, len(content), BLOCK_BYTES))

    def stat(self, key: str) -> StoredObject:
        return StoredObject(key=key, size=len(self._content(key)))

    def _content(self, key: str) -> bytes:
        try:
            return self._objects[keys.checked(key)]
        except KeyError:
            raise MissingObjectError(self.describe(), key) from None

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        keys.checked_prefix(prefix)
        for key, content in sorted(self._objects.items()):
            if key.startswith(prefix):
                yield StoredObject(key=key, size=len(content))

    def delete(self, key: str, *, version: str = "") -> None:
        self._objects.pop(keys.checked(key), None)

    def undo(self, opened: Mapping[str, str]) -> None:
        """Nothing is opened that outlives the process."""

    def sweep(self, *, older_than_seconds: float) -> int:
        return 0
