"""How a stream is cut into parts and how parts are sent."""

from __future__ import annotations

import threading
import time

import pytest

from backups.storages.parts import Cut, Part, Sender, part_size

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40


def cut(stream, size: int = 4) -> list[tuple[int, bytes, bool]]:
    return [
        (part.number, bytes(part.read()), part.last) for part in Cut(stream, lambda number: size)
    ]


def start(parts: Cut, sender: Sender) -> None:
    for part in parts:
        sender.put(part)


def test_it_works():
    assert cut([b"abc", b"defg", b"h"]) == [(1, b"abcd", False), (2, b"efgh", True)]


def test_there_is_always_one_part_and_only_the_last_is_marked():
    assert cut([]) == [(1, b"", True)]
    assert cut([b"abcd"]) == [(1, b"abcd", True)]
    assert cut([b"abcde"]) == [(1, b"abcd", False), (2, b"e", True)]
    assert cut([b"", b"abcdefghi", b""])[1:] == [(2, b"efgh", False), (3, b"i", True)]


def test_ten_thousand_parts_hold_the_largest_object():
    sizes = [part_size(number) for number in range(1, 10_001)]
    assert sum(sizes) >= 5 * TIB
    assert sizes == sorted(sizes)
    assert min(sizes) >= 5 * MIB
    assert max(sizes) <= 5 * GIB


def test_parts_stay_small_for_what_is_usual():
    assert {part_size(number) for number in range(1, 801)} == {8 * MIB}


def test_a_part_is_read_like_a_file_as_often_as_needed():
    part = Part(1, bytearray(300_000))
    part.take(memoryview(b"x" * 300_000))
    for _ in range(2):
        part.seek(0)
        pieces = []
        while piece := part.read(16):
            pieces.append(bytes(piece))
        assert b"".join(pieces) == b"x" * 300_000
    assert part.seek(0, 2) == len(part) == part.tell() == 300_000


def test_several_parts_are_on_the_way_at_once_and_buffers_are_used_again():
    on_the_way, most, buffers = set(), [], set()
    together = threading.Barrier(4)

    def send(part: Part) -> dict:
        on_the_way.add(part.number)
        most.append(len(on_the_way))
        buffers.add(id(part.buffer))
        if part.number <= 4:
            together.wait(60)
        time.sleep(0.02)
        on_the_way.discard(part.number)
        return {"ETag": f"tag {part.number}"}

    parts = Cut([b"x" * 4 * 30], lambda number: 4)
    sender = Sender(send, sent=parts.give_back)
    start(parts, sender)
    assert sender.finish() == {number: {"ETag": f"tag {number}"} for number in range(1, 31)}
    assert max(most) == 4
    assert len(buffers) <= 5


def test_large_parts_are_sent_one_by_one():
    on_the_way, most = [], []

    def send(part: Part) -> dict:
        on_the_way.append(part)
        most.append(len(on_the_way))
        time.sleep(0.02)
        on_the_way.remove(part)
        return {}

    sender = Sender(send, sent=lambda part: None)
    for number in range(1, 4):
        part = Part(number, bytearray())
        part.buffer = range(200 * MIB)  # its length counts, and need not exist
        sender.put(part)
    sender.finish()
    assert max(most) == 1


def test_a_failed_part_ends_the_cutting_at_the_next_block():
    failed = threading.Event()

    def send(part: Part) -> dict:
        failed.set()
        raise OSError("no route")

    parts = Cut(iter([b"abcde", b"f", b"g"]), lambda number: 4)
    sender = Sender(send, sent=parts.give_back)
    coming = iter(parts)
    sender.put(next(coming))
    assert failed.wait(60)
    sender.stop(seconds=5)
    parts.between = sender.raise_failure
    with pytest.raises(OSError, match="no route"):
        list(coming)
    with pytest.raises(OSError, match="no route"):
        sender.finish()


@pytest.mark.alone
def test_stopping_does_not_wait_for_a_part_that_hangs():
    hanging = threading.Event()
    sender = Sender(lambda part: {"ETag": str(hanging.wait(20))}, sent=lambda part: None)
    sender.put(Part(1, bytearray(1)))
    began = time.monotonic()
    assert not sender.stop(seconds=0.1)
    assert time.monotonic() - began < 2
    hanging.set()
    assert sender.stop(seconds=5)
