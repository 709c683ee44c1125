"""Objects as files in a folder of this machine."""

from __future__ import annotations

import errno
import logging
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from django.core.files.storage import FileSystemStorage

from backups.pipeline.errors import MissingObjectError, ObjectExistsError, StorageError
from backups.pipeline.ports import StoredObject, Stream
from backups.storages import keys, probe
from backups.storages.kind import Kind
from backups.storages.local import drafts, folders
from backups.storages.local.drafts import Draft, NamedDraft, NamelessDraft

READ_BYTES = 1 << 20
log = logging.getLogger(__name__)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalStore:
    """An ObjectStore in the folder of a FileSystemStorage, which has to exist.

    An object is written as a nameless file, or under a temporary name where the file system has
    none (or `nameless` is False), flushed to the disk, and linked to its name.
    """

    def __init__(self, storage: FileSystemStorage, *, nameless: bool = True) -> None:
        self._folder = str(storage.location)
        self._nameless = nameless

    def __repr__(self) -> str:
        return f"LocalStore({self._folder!r})"

    def check(self) -> None:
        probe.prove(self)

    def describe(self) -> str:
        return self._folder

    def write(
        self,
        key: str,
        stream: Stream,
        *,
        before_commit: Callable[[], None] | None = None,
        opened: Callable[[dict[str, str]], None] | None = None,
        closed: Callable[[dict[str, str]], None] | None = None,
    ) -> StoredObject:
        *above, name = keys.checked(key).split("/")
        with self._base() as base:
            self._refuse_existing(base, above, name, key)
            with self._draft(base, opened, closed) as draft:
                size = self._fill(draft, stream)
                if before_commit is not None:
                    before_commit()
                self._publish(draft, base, above, name, key)
        return StoredObject(key=key, size=size)

    @contextmanager
    def _draft(
        self,
        base: int,
        opened: Callable[[dict[str, str]], None] | None,
        closed: Callable[[dict[str, str]], None] | None,
    ) -> Iterator[Draft]:
        with folders.told(self._folder):
            nameless = self._nameless and drafts.has_nameless_files(base)
        temporary = {"part": drafts.temporary_name()}
        if not nameless and opened is not None:
            opened(temporary)
        with folders.told(self._folder):
            draft: Draft = NamelessDraft(base) if nameless else NamedDraft(base, temporary["part"])
        try:
            yield draft
        finally:
            gone = self._discard(draft)
            if gone and not nameless and closed is not None:
                closed(temporary)

    def _discard(self, draft: Draft) -> bool:
        """Whether nothing is left of it; a failure here must not hide the one that led here."""
        try:
            draft.discard()
        except OSError as error:
            log.warning("%s A temporary file may be left.", folders.explained(error, self._folder))
            return False
        return True

    def _fill(self, draft: Draft, stream: Stream) -> int:
        """Write the whole stream and have it on the disk; returns its size."""
        size = 0
        for block in stream:
            with folders.told(self._folder):
                size += draft.write(block)
        with folders.told(self._folder):
            stored = draft.flush()
        if stored != size:
            raise StorageError(
                f"{self._folder} kept {stored} of {size} bytes.", remedy="Look at the disk."
            )
        return size

    def _publish(self, draft: Draft, base: int, above: Sequence[str], name: str, key: str) -> None:
        for last_try in (False, True):
            try:
                with folders.inside(base, above, make=True) as folder:
                    draft.publish(folder, name)
            except FileExistsError:
                raise ObjectExistsError(self._folder, key) from None
            except FileNotFoundError as error:
                # Somebody removed the last object of that folder, and the folder with it.
                if last_try:
                    raise folders.explained(error, self._folder) from error
            except OSError as error:
                folders.prune(base, above)
                raise folders.explained(error, self._folder) from error
            else:
                return

    @contextmanager
    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[Stream]:
        *above, name = keys.checked(key).split("/")
        with self._base() as base:
            file = self._open(base, above, name, key)
        try:
            yield self._blocks(file, offset, length)
        finally:
            os.close(file)

    def _open(self, base: int, above: Sequence[str], name: str, key: str) -> int:
        with self._missing(key), folders.inside(base, above) as folder:
            file = os.open(name, _READ, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise MissingObjectError(self._folder, key)
        return file

    def _blocks(self, file: int, offset: int, length: int | None) -> Iterator[memoryview]:
        block = memoryview(bytearray(READ_BYTES))
        left = length
        os.lseek(file, offset, os.SEEK_SET)
        while left is None or left > 0:
            wanted = block if left is None else block[:left]
            with folders.told(self._folder):
                count = os.readv(file, [wanted])
            if not count:
                return
            left = None if left is None else left - count
            yield block[:count]

    def stat(self, key: str) -> StoredObject:
        *above, name = keys.checked(key).split("/")
        with self._base() as base:
            file = self._open(base, above, name, key)
            size = os.fstat(file).st_size
            os.close(file)
        return StoredObject(key=key, size=size)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        keys.checked_prefix(prefix)
        with self._base() as base, folders.told(self._folder):
            for path, size in folders.files(base, beginning=prefix):
                if keys.is_good(path):
                    yield StoredObject(key=path, size=size)

    def delete(self, key: str, *, version: str = "") -> None:
        *above, name = keys.checked(key).split("/")
        with self._base() as base:
            with suppress(MissingObjectError):
                self._unlink(base, above, name, key)
            folders.prune(base, above)

    def _unlink(self, base: int, above: Sequence[str], name: str, key: str) -> None:
        with self._missing(key), folders.inside(base, above) as folder:
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)

    def undo(self, opened: Mapping[str, str]) -> None:
        name = opened.get("part", "")
        if not drafts.TEMPORARY.match(name):
            return
        with self._base() as base, folders.told(self._folder), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=base)

    def sweep(self, *, older_than_seconds: float) -> int:
        swept, before = 0, time.time() - older_than_seconds
        with self._base() as base, folders.told(self._folder):
            for name in os.listdir(base):
                if self._is_leftover(base, name, before):
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=base)
                        swept += 1
        return swept

    def _is_leftover(self, base: int, name: str, before: float) -> bool:
        if not (drafts.TEMPORARY.match(name) or probe.NAME.match(name)):
            return False
        try:
            changed = os.stat(name, dir_fd=base, follow_symlinks=False).st_mtime
        except FileNotFoundError:
            return False
        return changed <= before and drafts.is_abandoned(base, name)

    @contextmanager
    def _base(self) -> Iterator[int]:
        with folders.told(self._folder):
            base = folders.open_base(self._folder)
        try:
            yield base
        finally:
            os.close(base)

    def _refuse_existing(self, base: int, above: Sequence[str], name: str, key: str) -> None:
        with suppress(MissingObjectError), self._missing(key), folders.inside(base, above) as found:
            if drafts.exists(found, name):
                raise ObjectExistsError(self._folder, key)

    @contextmanager
    def _missing(self, key: str) -> Iterator[None]:
        """A missing file or folder is a missing object; anything else is told as it is."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError):
            raise MissingObjectError(self._folder, key) from None
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise folders.explained(error, f"{self._folder}/{key}") from error
            raise folders.explained(error, self._folder) from error


def _build(options: Mapping[str, Any], secret: str) -> LocalStore:
    return LocalStore(FileSystemStorage(location=options["folder"]))


def _address(options: Mapping[str, Any]) -> str:
    return str(options.get("folder", "")).rstrip("/")


def _fetch(options: Mapping[str, Any], key: str, file: str) -> str:
    return shlex.join(["cp", f"{_address(options)}/{key}", file])


KIND = Kind(
    name="local",
    label="Local folder",
    credential="",
    build=_build,
    address=_address,
    fetch=_fetch,
    variables={"folder": "BACKUP_DIR"},
    schema={
        "type": "object",
        "required": ["folder"],
        "additionalProperties": False,
        "properties": {
            "folder": {
                "type": "string",
                "title": "Folder",
                "description": "An existing folder on the machine that runs the backup.",
                "pattern": r"^/[^\x00]*[^/\x00]",
                "refusal": "Enter the folder's whole path, beginning with a slash.",
            }
        },
    },
)
