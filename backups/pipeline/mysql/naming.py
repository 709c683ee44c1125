"""The names of what a restore makes beside the database that it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

_RESTORING = "__restoring_"
_REPLACED = "__replaced_"
_MARK_LENGTH = 8
_KEPT = 64 - len(_RESTORING) - _MARK_LENGTH  # of 64 characters


@dataclass(frozen=True, slots=True)
class Names:
    """`hidden` takes the data; `replaced` gets what was there before; a table called `marker` is
    in every database that is not finished, and in no other."""

    hidden: str
    replaced: str
    marker: str

    @classmethod
    def beside(cls, dbname: str, mark: str) -> Self:
        kept = dbname[:_KEPT]
        return cls(kept + _RESTORING + mark, kept + _REPLACED + mark, _RESTORING + mark)

    @classmethod
    def of(cls, hidden: str) -> Self:
        """From the one that is told to `opened`; ValueError where no restore gave it."""
        kept, found, mark = hidden.rpartition(_RESTORING)
        if not found or not kept or len(mark) != _MARK_LENGTH:
            raise ValueError(f"{hidden} is not a database that a restore began.")
        return cls(hidden, kept + _REPLACED + mark, _RESTORING + mark)
