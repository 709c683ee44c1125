"""What an attempt's process tells its minder: packets on a socket, and figures on a shared board.

Packets are JSON, one to a packet, bounded in size. Progress goes over a page of shared memory: to
write it costs nothing, never blocks the job, and the minder always finds the latest.
"""

from __future__ import annotations

import json
import mmap
import socket
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

MESSAGE_LENGTH = 500
LOG_LENGTH = 4_000
ERROR_LENGTH = 2_000
IDS_LENGTH = 4_000
PACKET_BYTES = 64 * 1024
RESULT_BYTES = 4 * 1024 * 1024
_LARGEST = 2**63 - 1
_UNKNOWN = -1


def channel() -> tuple[socket.socket, socket.socket]:
    """The minder's end and the child's; a packet arrives whole or not at all."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(end: socket.socket, kind: str, **fields: Any) -> None:
    end.send(json.dumps({"kind": kind, **fields}).encode())


def receive(end: socket.socket) -> dict[str, Any] | None:
    """The next packet; None at the end of the connection. ValueError where it isn't one of ours."""
    data, _, flags, _ = end.recvmsg(PACKET_BYTES)
    if not data:
        return None
    if flags & socket.MSG_TRUNC:
        raise ValueError("a packet is too large")
    packet = json.loads(data)
    if not isinstance(packet, dict) or not isinstance(packet.get("kind"), str):
        raise ValueError("a packet names no kind")
    return packet


def send_result(end: socket.socket, result: Mapping[str, Any] | None) -> None:
    """Send what the job returned, in pieces. TypeError or ValueError where it can't be stored."""
    if result is not None and not isinstance(result, Mapping):
        raise TypeError(f"a job returns a mapping or None, not {type(result).__name__}")
    plain = None if result is None else dict(result)
    text = json.dumps(plain, cls=DjangoJSONEncoder, allow_nan=False)
    if len(text) > RESULT_BYTES:
        raise ValueError(f"its result is larger than {RESULT_BYTES} bytes")
    step = PACKET_BYTES // 4  # quotes and backslashes of a piece are escaped once more
    for start in range(0, len(text), step):
        send(end, "result", piece=text[start : start + step])
    send(end, "done")


def storable(value: Any) -> Any:
    """The same without what databases refuse in text: NUL and halves of surrogate pairs."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value


def parse(text: str) -> Any:
    return json.loads(text)


class Board:
    """Figures shared between the child, which writes, and its minder, which reads."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._figures = memoryview(self._page).cast("q")  # done, total, number of reports
        self.clear()

    def clear(self) -> None:
        """As if nothing had been written yet."""
        self._figures[0], self._figures[1], self._figures[2] = 0, _UNKNOWN, 0

    def write(self, done: int, total: int | None) -> None:
        self._figures[0] = min(max(0, int(done)), _LARGEST)
        self._figures[1] = _UNKNOWN if total is None else min(max(0, int(total)), _LARGEST)
        self._figures[2] += 1

    def read(self) -> tuple[int, int | None]:
        done, total = self._figures[0], self._figures[1]
        return done, None if total == _UNKNOWN else total

    @property
    def reports(self) -> int:
        """How many times progress was written; 0 means never."""
        return self._figures[2]

    def close(self) -> None:
        self._figures.release()
        self._page.close()
