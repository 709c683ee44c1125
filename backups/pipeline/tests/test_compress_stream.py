from __future__ import annotations

import gzip
import hashlib
import random
import subprocess
import tracemalloc

import pytest

from backups.pipeline.compression import COMPRESSIONS
from backups.pipeline.errors import CorruptError
from backups.pipeline.hashing import Hashed

REAL = [each for each in COMPRESSIONS.values() if each.suffix]
TOOLS = {"gzip": ["gzip", "-dc"]}


def joined(stream) -> bytes:
    return b"".join(bytes(block) for block in stream)


def some_data(size: int = 300_000) -> bytes:
    chance = random.Random(7)
    return b"".join(b"%d\tname %d\t\\N\n" % (i, chance.randrange(99)) for i in range(size // 14))


def in_blocks(data: bytes, size: int):
    """As a source gives them: views of one buffer that is used again."""
    buffer = bytearray(size)
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        buffer[: len(piece)] = piece
        yield memoryview(buffer)[: len(piece)]


@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
@pytest.mark.parametrize("size", [999, 70_000, 1 << 20])
def test_it_works(compression, size):
    data = some_data()
    packed = joined(compression.compress(in_blocks(data, size)))
    assert joined(compression.decompress(in_blocks(packed, size))) == data


@pytest.mark.parametrize("compression", REAL, ids=lambda each: each.name)
def test_every_level_is_read_back(compression):
    data = some_data(20_000)
    for level in compression.levels:
        packed = joined(compression.compress([data], level))
        assert joined(compression.decompress([packed])) == data


@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_an_empty_stream_is_read_back(compression):
    packed = joined(compression.compress([]))
    assert joined(compression.decompress([packed])) == b""


def test_the_public_tool_reads_gzip():
    data = some_data()
    packed = joined(COMPRESSIONS["gzip"].compress([data]))
    assert subprocess.run(["gzip", "-dc"], input=packed, capture_output=True).stdout == data
    assert joined(COMPRESSIONS["gzip"].decompress([gzip.compress(data)])) == data


def test_the_public_tool_reads_zstd():
    data = some_data()
    packed = joined(COMPRESSIONS["zstd"].compress([data]))
    assert subprocess.run(["zstd", "-dc"], input=packed, capture_output=True).stdout == data


@pytest.mark.parametrize("compression", REAL, ids=lambda each: each.name)
def test_several_members_are_read_as_one(compression):
    packed = joined(compression.compress([b"one"])) + joined(compression.compress([b"two"]))
    assert joined(compression.decompress(in_blocks(packed, 5))) == b"onetwo"


@pytest.mark.parametrize("compression", REAL, ids=lambda each: each.name)
def test_a_stream_cut_anywhere_is_corrupt(compression):
    packed = joined(compression.compress([b"hello world " * 40]))
    for length in range(len(packed)):
        with pytest.raises(CorruptError, match="ends in the middle"):
            joined(compression.decompress([packed[:length]]))


@pytest.mark.parametrize("compression", REAL, ids=lambda each: each.name)
def test_a_flipped_bit_is_corrupt_or_changes_nothing(compression):
    data = b"hello world " * 40
    packed = bytearray(joined(compression.compress([data])))
    corrupt = 0
    for bit in range(len(packed) * 8):
        packed[bit // 8] ^= 1 << bit % 8
        try:
            assert joined(compression.decompress([bytes(packed)])) == data  # time in the header
        except CorruptError:
            corrupt += 1
        packed[bit // 8] ^= 1 << bit % 8
    assert corrupt > len(packed) * 8 * 0.6


@pytest.mark.parametrize("compression", REAL, ids=lambda each: each.name)
@pytest.mark.parametrize("garbage", [b"\0", b"garbage", b"\0" * 100])
def test_trailing_garbage_is_corrupt(compression, garbage):
    packed = joined(compression.compress([b"data"]))
    with pytest.raises(CorruptError):
        joined(compression.decompress([packed + garbage]))
    with pytest.raises(CorruptError):
        joined(compression.decompress([packed, garbage]))


@pytest.mark.parametrize("compression", REAL, ids=lambda each: each.name)
def test_a_bomb_is_given_out_in_small_blocks(compression):
    size = 256 << 20
    packed = joined(compression.compress(bytes(1 << 20) for _ in range(256)))
    tracemalloc.start()
    got = sum(len(block) for block in compression.decompress([packed]))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got == size
    assert most < 8 << 20


def test_a_level_it_does_not_know_is_refused():
    with pytest.raises(ValueError, match="zstd knows levels 1 to 19, not 99"):
        COMPRESSIONS["zstd"].compress([b""], 99)


def test_a_failed_stage_fails_all_that_follow():
    def broken():
        yield b"x" * 10_000
        raise OSError("broken pipe")

    for compression in REAL:
        with pytest.raises(OSError, match="broken pipe"):
            joined(compression.compress(Hashed(broken())))


def test_a_hash_is_of_the_whole_stream():
    sizes = []
    stage = Hashed([b"one", bytearray(b"two")], sizes.append)
    passing = iter(stage)
    next(passing)
    with pytest.raises(RuntimeError):
        _ = stage.sha256
    assert joined(passing) == b"two"
    assert stage.sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert stage.size == 6
    assert sizes == [3, 6]
