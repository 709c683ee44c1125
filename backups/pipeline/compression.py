"""Compressors, each a pair of stages with bounded memory. A new one is one row of the table."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

from isal import igzip_lib, isal_zlib

from backups.pipeline.errors import CorruptError
from backups.pipeline.ports import Block, Stream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MOST = 1 << 20
"""Bytes that a decompressor gives out at once, however well they were compressed."""
_GZIP = 16 + zlib.MAX_WBITS
# A cast, since isal's types take its exception for an instance.
_DAMAGED = cast("tuple[type[Exception], ...]", (igzip_lib.IsalError, zstd.ZstdError))


class Compressor(Protocol):
    def compress(self, data: Block, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Decompressor(Protocol):
    """One member of a file, as `bz2.BZ2Decompressor` has it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: Block, max_length: int) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """A public format: its suffix, and both directions as stages."""

    name: str
    suffix: str
    default_level: int
    levels: range
    compressor: Callable[[int], Compressor] | None = None
    decompressor: Callable[[], Decompressor] | None = None

    def compress(self, stream: Stream, level: int | None = None) -> Stream:
        """The stream in this format; without a level, the fast one."""
        if self.compressor is None:
            return stream
        chosen = self.default_level if level is None else level
        if chosen not in self.levels:
            lowest, highest = self.levels[0], self.levels[-1]
            raise ValueError(f"{self.name} knows levels {lowest} to {highest}, not {chosen}.")
        return _Compressed(stream, self.compressor, chosen)

    def decompress(self, stream: Stream) -> Stream:
        """The stream out of this format; raises CorruptError for anything but whole members."""
        if self.decompressor is None:
            return stream
        return _Decompressed(stream, self.decompressor, self.name)


@dataclass(frozen=True, slots=True)
class _Compressed:
    stream: Stream
    new: Callable[[int], Compressor]
    level: int

    def __iter__(self) -> Iterator[Block]:
        compressor = self.new(self.level)
        for block in self.stream:
            if packed := compressor.compress(block):
                yield packed
        yield compressor.flush()


@dataclass(frozen=True, slots=True)
class _Decompressed:
    """Reads member after member, which is what `cat a.gz b.gz` makes."""

    stream: Stream
    new: Callable[[], Decompressor]
    name: str

    def __iter__(self) -> Iterator[Block]:
        member = self.new()
        for block in self.stream:
            rest: Block = block
            while rest or not (member.needs_input or member.eof):
                if member.eof:
                    member = self.new()
                try:
                    unpacked = member.decompress(rest, _MOST)
                except _DAMAGED as error:
                    raise self._corrupt(f"it is damaged ({error})") from None
                if unpacked:
                    yield unpacked
                rest = member.unused_data if member.eof else b""
        if not member.eof:
            raise self._corrupt("it ends in the middle")

    def _corrupt(self, how: str) -> CorruptError:
        return CorruptError(
            f"What is stored is not a whole {self.name} stream: {how}.",
            remedy="Use another backup, and look at what damaged this one.",
        )


def _gzip_compressor(level: int) -> Compressor:
    """isal up to its highest level, several times as fast as zlib; zlib above."""
    if level <= isal_zlib.ISAL_BEST_COMPRESSION:
        made: Compressor = isal_zlib.compressobj(level, isal_zlib.DEFLATED, _GZIP)
        return made
    return zlib.compressobj(level, zlib.DEFLATED, _GZIP)


def _gzip_decompressor() -> Decompressor:
    made: Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return made


def _zstd_compressor(level: int) -> Compressor:
    """One worker thread compresses while the next block is being read."""
    parameter = zstd.CompressionParameter
    return zstd.ZstdCompressor(
        options={
            parameter.compression_level: level,
            parameter.checksum_flag: 1,
            parameter.nb_workers: 1,
        }
    )


COMPRESSIONS = {
    each.name: each
    for each in (
        Compression(
            name="gzip",
            suffix=".gz",
            default_level=1,
            levels=range(10),
            compressor=_gzip_compressor,
            decompressor=_gzip_decompressor,
        ),
        Compression(
            name="zstd",
            suffix=".zst",
            default_level=1,
            levels=range(1, 20),
            compressor=_zstd_compressor,
            decompressor=zstd.ZstdDecompressor,
        ),
        Compression(name="none", suffix="", default_level=0, levels=range(1)),
    )
}
