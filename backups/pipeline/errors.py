"""What can go wrong in the pipeline; each error carries its remedy and whether to try again."""

from __future__ import annotations


class PipelineError(Exception):
    """Something between source and storage failed.

    `sentence` names what and where, `remedy` what to do; neither holds a secret. `permanent`
    means that trying again can't help.
    """

    permanent = False

    def __init__(self, sentence: str, *, remedy: str = "", permanent: bool | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
        if permanent is not None:
            self.permanent = permanent

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()


class SourceError(PipelineError):
    """The database could not be read: unreachable, refused, died in the middle, dump cut short."""


class StorageError(PipelineError):
    """The destination could not be written or read: unreachable, refused, full."""


class MissingObjectError(StorageError):
    """There is no object of that key."""

    permanent = True

    def __init__(self, place: str, key: str) -> None:
        super().__init__(f"{place} has no object {key}.", remedy="It was removed or renamed.")


class ObjectExistsError(StorageError):
    """The key is taken, and an object is never overwritten."""

    permanent = True

    def __init__(self, place: str, key: str) -> None:
        super().__init__(f"{place} already has an object {key}.", remedy="Choose another name.")


class CorruptError(PipelineError):
    """What was read back is not what was stored (checksum, end marker, size)."""

    permanent = True


class RestoreError(PipelineError):
    """The database server did not take the restored data."""


class LackingError(RestoreError):
    """The dump could not be taken for a reason outside it (the server has no such extension, no
    room, was stopped): this says nothing against the backup."""

    permanent = True


class ScratchError(PipelineError):
    """A scratch server could not be made or started; says nothing about a backup."""


class StalledError(PipelineError):
    """No byte moved for longer than the plan allows."""
