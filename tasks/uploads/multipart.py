"""The file out of a `multipart/form-data` body, as it comes in, without keeping any of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from tasks.uploads.refusals import UploadError

FIELD = b"file"
_MOST_HEADER_BYTES = 16_384


class FormFile:
    """Asynchronous iterator over the bytes of the field `file`. Raises UploadError (400).

    Other fields are read over; a second file is a mistake.
    """

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise UploadError(400, "The multipart body names no boundary.")
        self._body = body
        self._pieces: list[bytes] = []
        self._header = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._ours = self._seen = self._ended = False
        self._parser = MultipartParser(boundary, self._callbacks())

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin_part,
            "on_part_data": self._take,
            "on_header_field": self._take_name,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_end": self._end,
        }

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            try:
                self._parser.write(piece)
            except MultipartParseError:
                raise UploadError(400, "The multipart body can't be read.") from None
            pieces, self._pieces = self._pieces, []
            for found in pieces:
                yield found
        if not self._ended:
            raise UploadError(400, "The multipart body ends before its last boundary.")
        if not self._seen:
            raise UploadError(400, "The multipart body has no field `file`.")

    def _begin_part(self) -> None:
        self._headers, self._ours = {}, False
        self._header = self._value = b""

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._limit_header()

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._limit_header()

    def _limit_header(self) -> None:
        if len(self._header) + len(self._value) > _MOST_HEADER_BYTES:
            raise UploadError(400, "A header of the multipart body is too long.")

    def _end_header(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._ours = options.get(b"name") == FIELD
        if self._ours and self._seen:
            raise UploadError(400, "The multipart body has more than one field `file`.")
        self._seen = self._seen or self._ours

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._ours:
            self._pieces.append(data[start:end])

    def _end(self) -> None:
        self._ended = True
