"""Cuts a stream into parts, and sends several at once: for stores that take an object in parts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

from backups.pipeline.ports import Block, Stream

Tag = Mapping[str, str]
"""What a store knows a part by."""

MIB = 1 << 20
LARGEST_PART = 1 << 30
PARTS_PER_STEP = 800
PARALLEL = 4
IN_FLIGHT_BYTES = 256 * MIB
SENT_AT_ONCE = 128 * 1024


def part_size(number: int) -> int:
    """How large the part of that number (from 1) is, the last one of an object aside.

    The length of a stream is not known before its end, and an object has at most 10,000 parts:
    8 MiB for the first 800 parts (6.25 GiB), doubled after each 800, 1 GiB from number 5,601 on.
    10,000 parts hold 5.07 TiB. Memory grows with the parts: five of 8 MiB up to 6.25 GiB, then
    five of the larger size up to 64 MiB (94 GiB), three of 128 MiB, and from 256 MiB on two.
    """
    return min(8 * MIB << (number - 1) // PARTS_PER_STEP, LARGEST_PART)


class StoppedError(Exception):
    """The sending was given up while a part was on its way."""


class Part:
    """A buffer that is filled from the stream and then read, as often as needed, like a file."""

    def __init__(self, number: int, buffer: bytearray) -> None:
        self.number = number
        self.buffer = buffer
        self.length = 0
        self.last = False
        self._view = memoryview(buffer)
        self._position = 0
        self.stopped = threading.Event()

    def __repr__(self) -> str:  # HTTP libraries log what they send
        return f"Part({self.number}, {self.length} bytes)"

    def __len__(self) -> int:
        return self.length

    def take(self, block: memoryview) -> int:
        """Copy what fits; returns how much that was."""
        count = min(len(block), len(self.buffer) - self.length)
        self._view[self.length : self.length + count] = block[:count]
        self.length += count
        return count

    def read(self, size: int = -1) -> memoryview:
        """The next bytes; may be more than asked for, since HTTP libraries ask for very few."""
        if self.stopped.is_set():
            raise StoppedError
        wanted = self.length if size < 0 else max(size, SENT_AT_ONCE)
        found = self._view[self._position : min(self._position + wanted, self.length)]
        self._position += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        start = (0, self._position, self.length)[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position


class Cut:
    """The parts of a stream, in order, at least one; the last is marked, and may be empty.

    To be iterated over once; `between` is called for each block, and may raise.
    """

    def __init__(self, stream: Stream, size: Callable[[int], int] = part_size) -> None:
        self._stream = stream
        self._size = size
        self._spare: list[bytearray] = []
        self.between: Callable[[], None] = _nothing

    def __iter__(self) -> Iterator[Part]:
        part = self._blank(1)
        for block in self._stream:
            self.between()
            rest = _bytes_of(block)
            while rest:
                if part.length == len(part.buffer):
                    yield part
                    part = self._blank(part.number + 1)
                rest = rest[part.take(rest) :]
        part.last = True
        yield part

    def _blank(self, number: int) -> Part:
        size = self._size(number)
        while self._spare:
            buffer = self._spare.pop()
            if len(buffer) == size:
                return Part(number, buffer)
        return Part(number, bytearray(size))

    def give_back(self, part: Part) -> None:
        """The part's buffer may be filled again."""
        self._spare.append(part.buffer)


def _nothing() -> None:
    """What happens between two blocks unless somebody wants to know."""


def _bytes_of(block: Block) -> memoryview:
    return memoryview(block).cast("B")


class Sender:
    """Sends parts with `send`, several at once, each from a thread of its own.

    Threads are daemons: one that hangs in a network call never holds up the end of the process.
    """

    def __init__(
        self,
        send: Callable[[Part], Tag],
        *,
        sent: Callable[[Part], None],
        parallel: int = PARALLEL,
    ) -> None:
        self._send, self._sent, self._parallel = send, sent, parallel
        self._changed = threading.Condition()
        self._on_the_way: dict[int, Part] = {}
        self._tags: dict[int, Tag] = {}
        self._failure: Exception | None = None

    def put(self, part: Part) -> None:
        """Send the part as soon as there is room for it; raises what an earlier one met."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure or self._has_room(part))
            self.raise_failure()
            self._on_the_way[part.number] = part
        threading.Thread(target=self._run, args=[part], name="part", daemon=True).start()

    def raise_failure(self) -> None:
        """Raise what a part met, if one did."""
        if self._failure is not None:
            raise self._failure

    def finish(self) -> dict[int, Tag]:
        """Wait for all parts; their tags by number."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure or not self._on_the_way)
            self.raise_failure()
        return dict(sorted(self._tags.items()))

    def stop(self, *, seconds: float) -> bool:
        """Give up what is on the way; whether it ended in that time."""
        with self._changed:
            for part in self._on_the_way.values():
                part.stopped.set()
            return self._changed.wait_for(lambda: not self._on_the_way, timeout=seconds)

    def _has_room(self, part: Part) -> bool:
        bytes_there = sum(len(other.buffer) for other in self._on_the_way.values())
        return not self._on_the_way or (
            len(self._on_the_way) < self._parallel
            and bytes_there + len(part.buffer) <= IN_FLIGHT_BYTES
        )

    def _run(self, part: Part) -> None:
        tag: Tag = {}
        failure: Exception | None = None
        try:
            tag = self._send(part)
        except Exception as error:
            failure = error
        with self._changed:
            del self._on_the_way[part.number]
            if failure is None:
                self._tags[part.number] = tag
                self._sent(part)
            self._failure = self._failure or failure
            self._changed.notify_all()
