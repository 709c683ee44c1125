"""How bodies are read at every REST door: JSON, and forms for those who type them by hand.

DRF's base classes take them from the settings while they are being defined, so nothing here
imports a view.
"""

from __future__ import annotations

from typing import IO, Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError, ValidationError

from accounts import reading
from accounts.reading import UnreadableError


class JSONParser(parsers.JSONParser):
    """Refuses, by field, what could not be kept; see `accounts.reading`."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        try:
            found = reading.json_of(stream.read())
        except UnreadableError as error:
            raise ParseError(str(error)) from None
        _refuse(found)
        return found


class FormParser(parsers.FormParser):
    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        found = super().parse(stream, media_type, parser_context)
        _refuse(dict(found.lists()))
        return found


class MultiPartParser(parsers.MultiPartParser):
    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        found = super().parse(stream, media_type, parser_context)
        _refuse(dict(found.data.lists()))
        return found


def _refuse(value: Any) -> None:
    if faults := reading.faults_of(value):
        raise ValidationError({name or "non_field_errors": told for name, told in faults.items()})
