"""What a noun refuses to do; every door tells the sentence and the remedy."""

from __future__ import annotations


class RefusedError(Exception):
    """The request makes no sense in the present state (a disabled plan, an unfinished backup)."""

    def __init__(self, sentence: str, *, remedy: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()


class UnfitError(RefusedError):
    """It makes no sense in any state: what was named as `field` doesn't fit the rest."""

    def __init__(self, sentence: str, *, field: str, remedy: str = "") -> None:
        super().__init__(sentence, remedy=remedy)
        self.field = field
